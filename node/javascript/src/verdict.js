// How the check of a proof ends where the claim does not hold.

/** The claim does not hold: `step` says where that shows. */
export class Fails extends Error {
  constructor (step, why) {
    super(`${step}: ${why}`)
  }
}

/** Neither can be told: a part is missing, or something that this program does not know. */
export class CannotTell extends Error {}

/** Does a part of a check that throws where it fails. */
export function step (name, work) {
  try {
    return work()
  } catch (error) {
    if (error instanceof Fails || error instanceof CannotTell) throw error
    throw new Fails(name, error.message)
  }
}
