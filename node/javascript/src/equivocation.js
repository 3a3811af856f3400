// Equivocation: a log's key has signed two histories. Comparing heads, and the proof of a fork.

import { compare as order, equal } from './bytes.js'
import { isHeadSigned, isSameHead } from './call.js'
import { decode, encode } from './cbor.js'
import { follow } from './cover.js'
import { demand, head, headRecord, list, path, proofOf, uint } from './record.js'
import { CannotTell, Fails, step } from './verdict.js'

/** How a head that is shown stands to one that is known. */
export const GOES_ON = 'goes-on'
/** The shown head is shorter, or the nodes do not show how it goes on. This proves nothing. */
export const STALE = 'stale'
/** Both are signed, and neither is a part of the other. */
export const FORK = 'fork'

/**
 * Compares two heads of one log whose signatures hold. `nodes` are those of the cover of the shown length with the cut at the
 * known one. Returns one of the three words; with `FORK` also the proof, a file.
 */
export function compareHeads (known, shown, nodes) {
  if (shown.fork) return { found: FORK, proof: fileOf({ heads: [headRecord(shown)] }) }
  if (shown.length === known.length) {
    return isSameHead(shown, known) ? { found: GOES_ON } : { found: FORK, proof: proofOfPair(known, shown) }
  }
  const hashes = hashesOf(known, shown, nodes)
  if (!hashes || !equal(hashes.whole, shown.hash)) return { found: STALE }
  if (equal(hashes.cut, known.hash)) return { found: GOES_ON }
  return { found: FORK, proof: proofOfPair(known, shown, nodes) }
}

function hashesOf (known, shown, nodes) {
  try {
    return follow({ length: shown.length, cut: known.length, path: nodes })
  } catch {
    return null
  }
}

/** Returns the proof of two heads, of which `longer` is the longer one where they differ in that. All that find them make one file. */
function proofOfPair (shorter, longer, nodes) {
  const heads = [shorter, longer].map(headRecord)
  if (shorter.length === longer.length) return fileOf({ heads: heads.sort((one, other) => order(one.hash, other.hash)) })
  return fileOf({ heads, at: shorter.length, paths: [[], nodes] })
}

const fileOf = (fields) => encode({ type: 'proof', v: 1, kind: 'equivocation', ...fields })

/** Reads the proof, without judging it. */
export function readEquivocation (file) {
  const proof = proofOf('equivocation', decode(file), ['heads'], ['at', 'paths'])
  const heads = list(proof.heads, 2, 'heads').map(head)
  demand(heads.length > 0, 'an equivocation without a head')
  const paths = proof.paths && list(proof.paths, 2, 'paths').map(path)
  demand(!paths || paths.length === 2, 'paths are not two')
  demand(proof.paths !== null, 'paths are none')
  return { log: heads[0].log, heads, at: proof.at === undefined ? undefined : uint(proof.at, 'at'), paths }
}

/** Throws unless the proof holds: `Fails` or `CannotTell`. */
export function judgeEquivocation ({ log, heads, at, paths }) {
  const unsigned = heads.find((head) => !isHeadSigned(head))
  if (unsigned) throw new Fails('head', `the head at length ${unsigned.length} is not signed by its log`)
  if (heads.some((head) => !equal(head.log, log))) throw new Fails('heads', 'they are of different keys')
  if (heads.some((head) => head.fork !== 0n)) return
  if (heads.length === 1) throw new CannotTell('the head is of fork 0, and there is no other')
  const [one, other] = heads
  const isAtBoth = at === undefined && paths === undefined && one.length === other.length
  if (!isAtBoth && (at === undefined || paths === undefined)) throw new CannotTell('the nodes are missing that compare heads of different lengths')
  const hashes = isAtBoth ? [one.hash, other.hash] : heads.map((head, number) => hashAt(at, head, paths[number]))
  if (equal(...hashes)) throw new Fails('comparison', `both histories are the same at length ${at ?? one.length}`)
}

/** Returns the tree hash of a signed log's first `at` blocks. */
function hashAt (at, { length, hash }, path) {
  if (at === length && path.length === 0) return hash
  if (at >= length) throw new Fails('path', `the head at length ${length} needs none to ${at}`)
  const hashes = step('path', () => follow({ length, cut: at, path }))
  if (!equal(hashes.whole, hash)) throw new Fails('path', `it does not lead to the head at length ${length}`)
  return hashes.cut
}
