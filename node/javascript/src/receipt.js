// The receipt of a call: the proof, under the log's signature, that an entry stands in the log.

import { equal, unbase64url } from './bytes.js'
import { nodesOfCut } from './cover.js'
import { readEntry, timeOf } from './entry.js'
import { compareHeads } from './equivocation.js'
import { checkHead, checkPath, readInclusion } from './inclusion.js'
import { leaf } from './tree.js'

/** A receipt's text is longer than its bytes, which are at most one entry and its path. */
const TEXT_LENGTH_MAX = 12 * 1024 * 1024

/** Reads and checks a receipt of this log; throws where it proves nothing. One whose head has a fork proves just that. */
export function openReceipt (text, log) {
  if (typeof text !== 'string' || text.length > TEXT_LENGTH_MAX) throw new TypeError('it is no text, or too long')
  const file = unbase64url(text)
  const receipt = { file, ...readInclusion(file) }
  if (!equal(receipt.head.log, log.key)) throw new TypeError('it is about another log')
  if (receipt.head.length > Number.MAX_SAFE_INTEGER) throw new TypeError('it is of a log longer than any')
  if (receipt.head.fork !== 0n && log.isHeadSigned(receipt.head)) return { ...receipt, forked: compareHeads(receipt.head, receipt.head, []) }
  checkHead(receipt.head, (head) => log.isHeadSigned(head))
  checkPath(receipt)
  const entry = readEntry(receipt.entry)
  return { ...receipt, bytes: receipt.entry, number: Number(receipt.block), entry, at: timeOf(entry) }
}

/**
 * Compares the receipt's head with a known one by the nodes of the receipt. They are all that is needed where the entry is the first one
 * after the known head: then nobody has to ask for more. Undefined where they are not.
 */
export function compareReceipt ({ head, block, bytes, path }, known) {
  const own = leaf(block, bytes)
  const nodes = nodesOfCut(head.length, known.length).map((index) => index === own.index ? own : path.find((node) => node.index === index))
  return known.length > head.length || nodes.includes(undefined) ? undefined : compareHeads(known, head, nodes)
}
