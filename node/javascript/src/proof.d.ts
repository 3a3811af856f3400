// Types of the checker of proof files.

/** How the check of a proof file ends: the claim holds, or not, or that cannot be told from the file; or it is no proof that can be read. */
export type Verdict = 'holds' | 'fails' | 'cannot-tell' | 'unreadable'

/** The verdict, and what the file claims. All but the verdict are only claims unless it is `holds`. */
export interface Checked {
  verdict: Verdict
  /** `inclusion`, `equivocation`, `violation`, `false-refusal`, or a kind that this version does not know. */
  kind?: string
  /** The key that the claim is about: compare it with that of the log in question. */
  log?: string
  /** Why the claim does not hold, or cannot be told, in words. */
  why?: string
  /** Of an inclusion: the length of the log, the block and its bytes. */
  length?: number
  block?: number
  entry?: Uint8Array
  /** Of an equivocation: the lengths of the signed heads. */
  lengths?: number[]
  /** Of a violation: the rule that the block breaks. */
  class?: string
  /** Of a false refusal: its reason, and the call. */
  reason?: string
  method?: string
  caller?: string
}

/** Judges a proof file. With `log`, 64 hexadecimal digits, a claim about another key fails. */
export declare function checkProof (file: Uint8Array, options?: { log?: string }): Checked
