// The checker of proof files: what one party can show another that trusts neither (protocol/FORMAT.md, "Proof files"). All kinds are
// judged from the file alone, as `vms proof check` judges them.

import { hex } from './bytes.js'
import { judgeEquivocation, readEquivocation } from './equivocation.js'
import { checkHead, checkPath, readInclusion } from './inclusion.js'
import { judgeFalseRefusal, readFalseRefusal } from './proof/false-refusal.js'
import { readWords } from './proof/kind.js'
import { judgeViolation, readViolation } from './proof/violation.js'
import { demand, text, uint } from './record.js'
import { CannotTell, Fails, step } from './verdict.js'

/** Bytes of a proof file. */
const FILE_BYTES_MAX = 32 * 1024 * 1024

/** Bytes of the name of a kind. */
const KIND_BYTES_MAX = 64

/** What each kind holds, how it is judged, and what it is about. */
const KINDS = {
  inclusion: {
    read: readInclusion,
    judge: judgeInclusion,
    about: ({ head, block, entry }) => ({ log: head.log, length: Number(head.length), block: Number(block), entry })
  },
  equivocation: {
    read: readEquivocation,
    judge: judgeEquivocation,
    about: ({ log, heads }) => ({ log, lengths: heads.map(({ length }) => Number(length)) })
  },
  violation: {
    read: readViolation,
    judge: judgeViolation,
    about: ({ head, class: name, block }) => ({ log: head.log, class: name, block: Number(block) })
  },
  'false-refusal': {
    read: readFalseRefusal,
    judge: judgeFalseRefusal,
    about: ({ refusal, call }) => ({ log: refusal.log, reason: refusal.reason, method: call.methodName, caller: call.userId })
  }
}

/**
 * Judges a proof file. Whether it is about a certain log is looked at first, where one is given: a proof convicts a key, and anybody has
 * keys. Never throws for what stands in the file.
 */
export function checkProof (file, { log } = {}) {
  let kind, proof
  try {
    ({ kind, proof } = readProof(file))
  } catch (error) {
    return { verdict: 'unreadable', why: error.message }
  }
  if (!proof) return { verdict: 'cannot-tell', kind, why: 'a proof of this kind and version needs a later version of this program' }
  const about = KINDS[kind].about(proof)
  about.log = hex(about.log)
  const told = { kind, ...about }
  try {
    if (log !== undefined && log !== about.log) throw new Fails('log', `it is about ${about.log}, not about ${log}`)
    KINDS[kind].judge(proof)
    return { verdict: 'holds', ...told }
  } catch (error) {
    if (error instanceof Fails) return { verdict: 'fails', ...told, why: error.message }
    if (error instanceof CannotTell) return { verdict: 'cannot-tell', ...told, why: error.message }
    throw error
  }
}

/** Reads a file: its kind, and the proof, where kind and version are known. */
function readProof (file) {
  demand(file instanceof Uint8Array, 'not bytes')
  demand(file.length <= FILE_BYTES_MAX, 'larger than any proof')
  const { type, v, kind } = readWords(file, ['type', 'v', 'kind'])
  demand(type === 'proof', 'its type is not `proof`')
  text(kind, KIND_BYTES_MAX, 'kind')
  const isKnown = uint(v, 'v') === 1n && Object.hasOwn(KINDS, kind)
  return { kind, proof: isKnown ? KINDS[kind].read(file) : undefined }
}

function judgeInclusion (proof) {
  step('head', () => checkHead(proof.head))
  step('path', () => checkPath(proof))
}
