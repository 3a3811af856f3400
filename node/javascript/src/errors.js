// Why a connection failed, or a call has no result.

/** The class of all errors here. `code` is one word for programs. */
export class ClientError extends Error {
  constructor (code, message, more = {}) {
    const { cause, ...fields } = more
    super(message, cause === undefined ? undefined : { cause })
    this.name = new.target.name
    this.code = code
    Object.assign(this, fields)
  }
}

/** The service's answer is an error: what the script has thrown, by its name and message. `data` is the error's own. */
export class ServiceError extends ClientError {
  constructor (name, message, { code = -32000, details } = {}) {
    super(code, message)
    this.name = name
    if (details !== undefined) this.data = details
  }
}

/** The host has not executed the call, as it says. `reason` is its word for that. */
export class RefusedError extends ClientError {}

/** The service does not write the log that it should, or not as a service for such callers does. Nothing was signed for it. */
export class TrustError extends ClientError {}

/** The log's key has signed two histories: nothing of it can be believed any more. `proof` shows that to anybody. */
export class ForkError extends TrustError {}

/** An answer without a proof that the log holds the call. The call may have been executed. */
export class UnprovedError extends ClientError {}

/** The log's time is further ahead of this machine's clock than is signed. Nothing was signed. */
export class ClockError extends ClientError {}

/** The connection has ended, or the service is not reached. After `lost`, a call may have been executed. */
export class ClosedError extends ClientError {}

/** What is remembered of services cannot be read or written. */
export class KnownLogsError extends ClientError {}
