// Merkle multi-proofs (protocol/FORMAT.md, "Paths"): from some blocks of a log, a cut, and the nodes that nothing else gives follow the
// tree hashes of the log and of its beginning up to the cut.

import { LENGTH_END, parent, rootsOf, treeHash } from './tree.js'

/**
 * Computes the tree hashes `{ whole, cut }` of a log of `length` blocks. `leaves` are those of the wanted blocks and `path` has the
 * given nodes, both ascending. Throws unless these are exactly the leaves and nodes that are needed.
 */
export function follow ({ length, leaves = [], cut = length, path }) {
  const last = leaves.at(-1)
  if (length >= LENGTH_END || cut > length || (last && last.index >= 2n * length)) {
    throw new RangeError(`there is no such block or beginning in a log of ${length} blocks`)
  }
  const walk = new Walk(leaves, cut, path)
  const roots = rootsOf(length).map((place) => walk.descend(place, true))
  walk.end()
  return { whole: treeHash(roots), cut: treeHash(walk.atCut) }
}

/** Returns the numbers of the nodes that are given for a cut alone. */
export function nodesOfCut (length, cut) {
  const visit = (place) => place.first < cut && cut < place.end ? place.children().flatMap(visit) : [place.index]
  return rootsOf(length).flatMap(visit)
}

class Walk {
  #leaves
  #nodes
  #cut

  constructor (leaves, cut, path) {
    this.#leaves = new Queue(leaves)
    this.#nodes = new Queue(path)
    this.#cut = cut
    this.atCut = []
  }

  /** Visits a node. It `isEdge` if the cut parts the blocks of its parent, or if it is a root: then it is a root at the cut, too. */
  descend (place, isEdge) {
    const isCut = place.first < this.#cut && this.#cut < place.end
    const node = this.#node(place, isCut)
    if (isEdge && place.end <= this.#cut) this.atCut.push(node)
    return node
  }

  #node (place, isCut) {
    if (!isCut && !this.#isWanted(place)) return this.#nodes.next(place.index)
    if (place.height === 0) return this.#leaves.next(place.index)
    const [left, right] = place.children().map((child) => this.descend(child, isCut))
    return parent(place.index, left, right)
  }

  // All wanted blocks before this place have been taken.
  #isWanted (place) {
    const next = this.#leaves.first
    return next !== undefined && next.index < 2n * place.end
  }

  end () {
    const extra = this.#nodes.first ?? this.#leaves.first
    if (extra) throw new RangeError(`node ${extra.index} of the tree is not needed, or does not stand where it should`)
  }
}

class Queue {
  #nodes
  #at = 0

  constructor (nodes) {
    this.#nodes = nodes
  }

  get first () {
    return this.#nodes[this.#at]
  }

  next (index) {
    const node = this.first
    if (node?.index !== index) throw new RangeError(`node ${index} of the tree is missing`)
    this.#at++
    return node
  }
}
