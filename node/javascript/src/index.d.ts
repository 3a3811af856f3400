// Types of the client. Written by hand; a test has them checked by tsc, with the examples of the README.

/** A caller's key. */
export declare class Key {
  /** How a service knows the caller: 64 lower-case hexadecimal digits. */
  readonly id: string
  private constructor ()
}

/** A key pair of the platform (`CryptoKeyPair`). */
export interface KeyPair {
  privateKey: object
  publicKey: object
}

/**
 * Makes a key by chance. With `extractable: false` only the platform has its secret, and nobody can read it. Fails there where the platform
 * does not know Ed25519.
 */
export declare function generateKey (options?: { extractable?: boolean }): Promise<Key>

/** Reads the content of a key file, as `vms keygen` writes it: 64 hexadecimal digits. */
export declare function importKey (text: string): Promise<Key>

/** Returns the content of a key file. Fails for a key that cannot be exported. */
export declare function exportKey (key: Key): Promise<string>

/** Returns the key that a pair of the platform is. */
export declare function keyOfPair (pair: KeyPair): Promise<Key>

/**
 * Returns the key that is kept under a name, and makes it where there is none. In a browser it is in IndexedDB, and cannot be exported; the
 * name is `default` unless it is given. In Node.js the name is the path of a key file.
 */
export declare function storedKey (name?: string): Promise<Key>

/** Where an application remembers logs itself. All clients of one object take turns. */
export interface KnownStore {
  /** What errors call this place. */
  name?: string
  /** Returns the text that was last written. */
  read (): Promise<string | null | undefined>
  /** Keeps a text: lines of JSON, as the file `known_logs` has them. */
  write (text: string): Promise<void>
  /** Does `work` while no other program changes the text. */
  lock?<T> (work: () => Promise<T>): Promise<T>
  /** Returns the proof of a fork that was kept under a name. */
  readProof? (name: string): Promise<Uint8Array | undefined>
  /** Keeps the proof of a fork under a name, unless there is one. */
  keepProof? (name: string, proof: Uint8Array): Promise<void>
  /** Returns how people find such a proof. */
  placeOfProof? (name: string): string
}

export interface Limits {
  /** Ends the waiting. A call that was sent may be executed all the same. */
  signal?: AbortSignal
  /** Milliseconds that it may take, with all attempts: a minute unless it is set. */
  timeout?: number
}

export interface ConnectOptions extends Limits {
  /** The caller's key. With it each call is signed, executed at most once, and answered by what the log holds. */
  key?: Key
  /**
   * Where to remember which log a URL had, the newest head of each log and the last numbers of keys. Unless it is set, the platform's own
   * place: in Node.js the file that `vms` uses, in a browser IndexedDB. A text is the path of another file (Node.js); `null` remembers nothing.
   * A client that compares no log does not use it.
   */
  known?: KnownStore | string | null
  /**
   * `'receipt'`: answers to calls without a key must be proved by the log, too. So they must where the URL names the log.
   */
  require?: 'receipt'
  /** Accepts, and remembers from now on, another log at a URL than was remembered. */
  acceptNewKey?: boolean
}

/** The answer to a call. */
export interface Answer<T = unknown> {
  /** The result; undefined where the method returns nothing. */
  result: T
  /** The proof that the log holds the call: a proof file of the kind `inclusion`. Not there where nothing proves the answer. */
  receipt?: Uint8Array
  /** The block of the call's entry. */
  block?: number
}

/** A head of a log: its length, tree hash and signature, in hexadecimal digits. */
export interface Head {
  length: number
  hash: string
  sig: string
}

/** A call that was signed, and of which nobody knows whether it was executed. */
export interface UnansweredCall {
  method: string
  args: unknown[]
  /** When it was signed, in milliseconds since 1970 by the log's time. */
  at: number
  /** Asks for its answer; has it executed if that can be, and once in any case. */
  resume (limits?: Limits): Promise<Answer>
  /** Forgets it. It may have been executed. */
  forget (): Promise<void>
}

/** What every service has beside the methods of its script. */
export interface ServiceOwn {
  /** Calls a method, and gives the proof of the answer, too. */
  $call<T = any> (method: string, args?: readonly unknown[], limits?: Limits): Promise<Answer<T>>
  /** Has a listener told of an event: `close` of the end, `reconnect` of each connection after the first, `head` of each longer log. */
  $on (event: 'close', listener: (error: Error) => void): () => void
  $on (event: 'reconnect', listener: () => void): () => void
  $on (event: 'head', listener: (head: Head) => void): () => void
  /** Returns what the service says of itself: its `methods` and much more. Nothing of it is proved. */
  $handshake (limits?: Limits): Promise<Record<string, any>>
  /** Returns the calls of this key that have no answer: in a browser, also those of pages that are gone. */
  $unanswered (): Promise<UnansweredCall[]>
  /** Keeps the newest head and the last number now, as `$close` does, and calls do once a second. */
  $remember (): Promise<void>
  /** Ends the connection. Calls without an answer fail. */
  $close (): Promise<void>
  /** The key of the service's log, where the client compares it. */
  readonly $log: string | undefined
  /** The newest head of the log that was verified, where the client compares it. */
  readonly $head: Head | undefined
}

/** A service whose methods are not declared. */
export type AnyService = ServiceOwn & { [method: string]: (...args: any[]) => Promise<any> }

/** The methods of a service as its caller sees them: they return promises. */
export type Methods<Script> = {
  [Name in keyof Script]: Script[Name] extends (...args: infer Args) => infer Result ? (...args: Args) => Promise<Awaited<Result>> : never
}

/** A service whose methods are declared as the script has them. */
export type Service<Script> = ServiceOwn & Methods<Script>

/**
 * Connects to the service at `url`, `ws://HOST:PORT/PATH` or `wss://HOST/PATH`, after which `#KEY` may stand: the key of the log that it must
 * write. `signal` also ends the service when it is connected; `timeout` is that of each call, too.
 */
export declare function connect (url: string | URL, options?: ConnectOptions): Promise<AnyService>
export declare function connect<Script> (url: string | URL, options?: ConnectOptions): Promise<Service<Script>>

/** The class of all errors here. */
export declare class ClientError extends Error {
  /** One word for programs; of a `ServiceError` the number that JSON-RPC calls its code. */
  readonly code: string | number
}

/** The service's answer is an error: what the script has thrown, by its `name` and `message`. */
export declare class ServiceError extends ClientError {
  readonly code: number
  /** The error's own data. */
  readonly data?: unknown
  /** The proof that the log holds it, and the block where. */
  readonly receipt?: Uint8Array
  readonly block?: number
}

/**
 * The host has not executed the call, as it says. It has the call, and may still execute it for as long as the log takes calls of that age: who makes the
 * same call again within this time may have it executed twice.
 */
export declare class RefusedError extends ClientError {
  /** Its word for that: `rate`, `no-method`, `stale-call` and others. */
  readonly reason: string
  /** The log's time by which the call was judged, in microseconds since 1970. */
  readonly now?: number
  /** The block of the call that stands in its way. */
  readonly block?: number
  /** When the call may be made again, in milliseconds. */
  readonly retryAfter?: number
  /** Whether the log's key has signed the refusal, and its signature. */
  readonly isSigned?: boolean
  readonly sig?: string
}

/** The service does not write the log that it should (`other-log`), does not describe one (`no-log`), believes any name (`not-signed`), or lags behind (`stale`). */
export declare class TrustError extends ClientError {
  /** Of `other-log`: the log that was expected, and the one that was found. */
  readonly expected?: string
  readonly found?: string
}

/** The log's key has signed two histories: nothing of it can be believed any more. */
export declare class ForkError extends TrustError {
  readonly log: string
  readonly heads: Head[]
  /** The proof for anybody else, a file that `vms proof check` judges. */
  readonly proof: Uint8Array
  /** Where the client keeps it. */
  readonly kept?: string
}

/** An answer without a proof that the log holds the call. The call may have been executed. */
export declare class UnprovedError extends ClientError {}

/** The log's time is further ahead of this machine's clock than is signed. Both are in milliseconds since 1970. Nothing was signed. */
export declare class ClockError extends ClientError {
  readonly own: number
  readonly log: number
}

/**
 * The connection has ended (`closed`, `lost`), cannot be had (`unreachable`, `refused`, `not-yet`), speaks something else (`garbage`), or takes too long
 * (`timeout`). After `lost` and `timeout` a call may have been executed.
 */
export declare class ClosedError extends ClientError {}

/** What is remembered of services cannot be read or written. */
export declare class KnownLogsError extends ClientError {}
