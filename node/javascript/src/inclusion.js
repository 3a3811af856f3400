// Proofs of inclusion: an entry stands in the log that its key has signed. The receipt of a call is such a file.

import { equal } from './bytes.js'
import { decode } from './cbor.js'
import { isHeadSigned } from './call.js'
import { follow } from './cover.js'
import { block, head, path, proofOf, uint } from './record.js'
import { leaf, LENGTH_END } from './tree.js'

/** Reads the file, without judging it. */
export function readInclusion (file) {
  const proof = proofOf('inclusion', decode(file), ['checkpoint', 'block', 'entry', 'path'])
  return { head: head(proof.checkpoint), block: uint(proof.block, 'block'), entry: block(proof.entry), path: path(proof.path) }
}

/** Throws unless the entry stands in the log of the head. Whether that is signed is not looked at. */
export function checkPath ({ head, block, entry, path }) {
  if (block >= LENGTH_END) throw new RangeError('there is no such block')
  const { whole } = follow({ length: head.length, leaves: [leaf(block, entry)], path })
  if (!equal(whole, head.hash)) throw new RangeError('its path leads to another tree hash than was signed')
}

/** Throws unless a proof may rest on the head. `isSigned` checks its signature. */
export function checkHead (head, isSigned = isHeadSigned) {
  if (!isSigned(head)) throw new RangeError(`the head at length ${head.length} is not signed by its log`)
  if (head.fork !== 0n) throw new RangeError(`the head is of fork ${head.fork}: it alone is an equivocation`)
}
