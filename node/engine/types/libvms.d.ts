// What a service of LibVMS finds, beside the language: `vms types > libvms.d.ts`.
//
// In tsconfig.json: "lib": ["ES2024"] and no "DOM", "types": [], "moduleDetection": "force" for ES modules; and this file in "files" or
// "include". A service is one file: bundle it (esbuild --bundle --format=esm), and serve what comes out.
//
// EVERYTHING IS REPEATED BY AUDITORS, so nothing comes from the machine. Time stands still during a call, but for timers: they jump
// to their time. Chance comes from the call's place in the log: EVERYBODY CAN COMPUTE IT AFTERWARDS, SO IT IS NEVER A SECRET. No key,
// password or token may come from Math.random, crypto.getRandomValues or crypto.randomUUID.
//
// There is no require, import, fetch, process, Intl, WebAssembly, WeakRef, FinalizationRegistry, SharedArrayBuffer or Atomics.
// toLocaleString gives what toString or an English locale would.

/** Who calls, the files of the service, the world outside, digests and signatures. */
declare const System: {
  /** Who calls: the name, or the key in hexadecimal where callers sign; null for anybody, and while the script loads. */
  readonly caller: { readonly id: string | null }
  /**
   * The files archive. What a call writes is kept if the call returns, and given up if it throws. Paths are absolute; directories
   * exist while something is in them. Errors have a name: NotFoundError, NotAllowedError and others.
   */
  readonly files: LibVMS.Files
  /**
   * The running call. A call that its caller sends or signs again keeps its id, and no other has it: pass it on to whom you ask or tell
   * something, so that they know a call that is executed again after a crash. null while the script loads.
   */
  readonly call: { readonly id: string | null }
  /**
   * Asks an oracle of the host: one of those that the service was deployed with. The answer stands in the log, and no auditor can tell
   * whether it is true: IT IS AS GOOD AS THE HOST, unless you check a signature in it. Whoever is asked may be asked again, when the host
   * crashes before the call is in the log. Rejects with an OracleError. Answers come in the order of the questions, before any timer.
   */
  oracle (name: string, ...args: LibVMS.Json[]): Promise<any>
  /** Asks the oracle `fetch`. Hosts fetch only URLs below what they were told. */
  fetch (url: string | URL, options?: LibVMS.FetchOptions): Promise<LibVMS.FetchAnswer>
  /**
   * Tells the world something, once the call is in the log, if it returns: at least once, in order. Throws a RangeError beyond 64 effects, or
   * 256 KiB, in one call.
   */
  emit (name: string, ...args: LibVMS.Json[]): void
  /** Digests and one signature, at once. */
  readonly crypto: LibVMS.SystemCrypto
}

declare namespace LibVMS {
  /** What JSON can hold: arguments, results, and the data of errors. */
  type Json = null | boolean | number | string | Json[] | { [name: string]: Json }
  type Bytes = ArrayBuffer | ArrayBufferView
  type TextEncoding = 'utf8' | 'utf-8' | 'base64' | 'hex'

  interface Files {
    getInfo (): Promise<{ url: string, key: string, title: string, version: number }>
    stat (path: string): Promise<Stat>
    readFile (path: string, encoding?: TextEncoding | { encoding?: TextEncoding }): Promise<string>
    readFile (path: string, encoding: 'binary' | { encoding: 'binary' }): Promise<Buffer>
    readFile (path: string, encoding: 'json' | { encoding: 'json' }): Promise<any>
    writeFile (path: string, data: string | Bytes, encoding?: TextEncoding | 'binary' | { encoding?: TextEncoding | 'binary' }): Promise<void>
    writeFile (path: string, data: unknown, encoding: 'json' | { encoding: 'json' }): Promise<void>
    readdir (path?: string, options?: ListOptions & { stat?: false }): Promise<string[]>
    readdir (path: string, options: ListOptions & { stat: true }): Promise<{ name: string, stat: Stat }[]>
    mkdir (path: string): Promise<void>
    unlink (path: string): Promise<void>
    rmdir (path: string, options?: { recursive?: boolean }): Promise<void>
    history (options?: { start?: number, end?: number, reverse?: boolean, limit?: number }): Promise<Change[]>
  }
  interface ListOptions { recursive?: boolean, limit?: number, offset?: number, reverse?: boolean }
  interface Stat {
    readonly size: number
    readonly blocks: number
    readonly offset: number
    isFile (): boolean
    isDirectory (): boolean
  }
  interface Change { version: number, type: 'put' | 'del', path: string }

  /** What System.oracle and System.fetch reject with. */
  interface OracleError extends Error {
    readonly name: 'OracleError'
    /**
     * `unknown`: the service has no such oracle. `timeout`: no answer in time. `too-large`: more than 1 MiB, in a question or an answer, 3 MiB in
     * all answers of a call, or more than 64 questions. `refused`: the host does not ask this. `failed`: the oracle failed.
     */
    readonly code: 'unknown' | 'timeout' | 'too-large' | 'refused' | 'failed'
  }
  interface FetchOptions {
    /** GET, unless said. */
    method?: string
    headers?: Record<string, string>
    body?: string
    /** How `body` is to be read: as text, unless said. */
    encoding?: 'base64'
  }
  interface FetchAnswer {
    status: number
    /** By their names in lower case; several of one name are joined by commas. */
    headers: Record<string, string>
    /** Text if it is UTF-8, else in base64. */
    body: string
    encoding?: 'base64'
  }

  interface SystemCrypto {
    sha256 (data: Bytes): Uint8Array
    sha512 (data: Bytes): Uint8Array
    /** A digest of 1 to 64 bytes; 32 if not said. */
    blake2b (data: Bytes, size?: number): Uint8Array
    blake3 (data: Bytes): Uint8Array
    /** Whether the signature (64 bytes) is good; strict about points of small order and second forms of a signature. */
    verifyEd25519 (signature: Bytes, message: Bytes, publicKey: Bytes): boolean
  }
}

/** In a script that is no ES module: its exported functions are the methods. `init` is called once, by the host. */
declare var module: { exports: any }
declare var exports: any
declare var self: typeof globalThis

/** Lines for the operator. No caller and no log sees them. */
declare const console: Record<'log' | 'info' | 'warn' | 'error' | 'debug', (...values: unknown[]) => void>

declare function setTimeout<A extends unknown[]> (callback: (...args: A) => void, delay?: number, ...args: A): number
declare function setInterval<A extends unknown[]> (callback: (...args: A) => void, delay?: number, ...args: A): number
declare function setImmediate<A extends unknown[]> (callback: (...args: A) => void, ...args: A): number
declare function clearTimeout (id?: number): void
declare function clearInterval (id?: number): void
declare function clearImmediate (id?: number): void
declare function queueMicrotask (callback: () => void): void
declare function atob (text: string): string
declare function btoa (text: string): string
declare function structuredClone<T> (value: T, options?: { transfer?: ArrayBuffer[] }): T

/** A part of the Buffer of Node.js. */
/** Bytes with encodings, as Node.js has them. Its memory is always filled with zeros. */
declare class Buffer extends Uint8Array {
  static readonly poolSize: number
  static from (value: string, encoding?: BufferEncoding): Buffer
  static from (value: ArrayBuffer, offset?: number, length?: number): Buffer
  static from (value: ArrayLike<number> | { type: 'Buffer', data: number[] } | { valueOf (): string | object }): Buffer
  static alloc (size: number, fill?: number | string | Uint8Array, encoding?: BufferEncoding): Buffer
  static allocUnsafe (size: number): Buffer
  static allocUnsafeSlow (size: number): Buffer
  static of (...bytes: number[]): Buffer
  static copyBytesFrom (view: ArrayBufferView, offset?: number, length?: number): Buffer
  static isBuffer (value: unknown): value is Buffer
  static isEncoding (encoding: string): encoding is BufferEncoding
  static byteLength (value: string | LibVMS.Bytes, encoding?: BufferEncoding): number
  static compare (one: Uint8Array, other: Uint8Array): -1 | 0 | 1
  static concat (list: readonly Uint8Array[], length?: number): Buffer
  toString (encoding?: BufferEncoding, start?: number, end?: number): string
  toJSON (): { type: 'Buffer', data: number[] }
  slice (start?: number, end?: number): Buffer
  subarray (start?: number, end?: number): Buffer
  equals (other: Uint8Array): boolean
  compare (target: Uint8Array, targetStart?: number, targetEnd?: number, start?: number, end?: number): -1 | 0 | 1
  copy (target: Uint8Array, targetStart?: number, start?: number, end?: number): number
  fill (value: number | string | Uint8Array, offset?: number, end?: number, encoding?: BufferEncoding): this
  fill (value: string, encoding: BufferEncoding): this
  indexOf (value: number | string | Uint8Array, offset?: number, encoding?: BufferEncoding): number
  lastIndexOf (value: number | string | Uint8Array, offset?: number, encoding?: BufferEncoding): number
  includes (value: number | string | Uint8Array, offset?: number, encoding?: BufferEncoding): boolean
  write (text: string, encoding?: BufferEncoding): number
  write (text: string, offset: number, encoding?: BufferEncoding): number
  write (text: string, offset: number, length: number, encoding?: BufferEncoding): number
  swap16 (): this
  swap32 (): this
  swap64 (): this
  readUInt8 (offset?: number): number
  writeUInt8 (value: number, offset?: number): number
  readInt8 (offset?: number): number
  writeInt8 (value: number, offset?: number): number
  readUInt16LE (offset?: number): number
  writeUInt16LE (value: number, offset?: number): number
  readUInt16BE (offset?: number): number
  writeUInt16BE (value: number, offset?: number): number
  readUInt32LE (offset?: number): number
  writeUInt32LE (value: number, offset?: number): number
  readUInt32BE (offset?: number): number
  writeUInt32BE (value: number, offset?: number): number
  readInt16LE (offset?: number): number
  writeInt16LE (value: number, offset?: number): number
  readInt16BE (offset?: number): number
  writeInt16BE (value: number, offset?: number): number
  readInt32LE (offset?: number): number
  writeInt32LE (value: number, offset?: number): number
  readInt32BE (offset?: number): number
  writeInt32BE (value: number, offset?: number): number
  readFloatLE (offset?: number): number
  writeFloatLE (value: number, offset?: number): number
  readFloatBE (offset?: number): number
  writeFloatBE (value: number, offset?: number): number
  readDoubleLE (offset?: number): number
  writeDoubleLE (value: number, offset?: number): number
  readDoubleBE (offset?: number): number
  writeDoubleBE (value: number, offset?: number): number
  readBigInt64LE (offset?: number): bigint
  writeBigInt64LE (value: bigint, offset?: number): number
  readBigInt64BE (offset?: number): bigint
  writeBigInt64BE (value: bigint, offset?: number): number
  readBigUInt64LE (offset?: number): bigint
  writeBigUInt64LE (value: bigint, offset?: number): number
  readBigUInt64BE (offset?: number): bigint
  writeBigUInt64BE (value: bigint, offset?: number): number
  readUIntLE (offset: number, byteLength: number): number
  writeUIntLE (value: number, offset: number, byteLength: number): number
  readUIntBE (offset: number, byteLength: number): number
  writeUIntBE (value: number, offset: number, byteLength: number): number
  readIntLE (offset: number, byteLength: number): number
  writeIntLE (value: number, offset: number, byteLength: number): number
  readIntBE (offset: number, byteLength: number): number
  writeIntBE (value: number, offset: number, byteLength: number): number
}
type BufferEncoding = 'utf8' | 'utf-8' | 'utf16le' | 'utf-16le' | 'ucs2' | 'ucs-2' | 'hex' | 'base64' | 'base64url' | 'binary' | 'latin1' | 'ascii'

declare class TextEncoder {
  readonly encoding: 'utf-8'
  encode (input?: string): Uint8Array<ArrayBuffer>
  encodeInto (source: string, destination: Uint8Array): { read: number, written: number }
}
/** For utf-8, utf-16le and windows-1252, by any of their labels (latin1 and ascii are labels of windows-1252). */
declare class TextDecoder {
  constructor (label?: string, options?: { fatal?: boolean, ignoreBOM?: boolean })
  readonly encoding: 'utf-8' | 'utf-16le' | 'windows-1252'
  readonly fatal: boolean
  readonly ignoreBOM: boolean
  decode (input?: LibVMS.Bytes, options?: { stream?: boolean }): string
}

declare class URL {
  constructor (url: string | URL, base?: string | URL)
  static canParse (url: string | URL, base?: string | URL): boolean
  static parse (url: string | URL, base?: string | URL): URL | null
  href: string
  readonly origin: string
  protocol: string
  username: string
  password: string
  host: string
  hostname: string
  port: string
  pathname: string
  search: string
  readonly searchParams: URLSearchParams
  hash: string
  toString (): string
  toJSON (): string
}
declare class URLSearchParams {
  constructor (init?: string | URLSearchParams | Record<string, string> | Iterable<readonly [string, string]>)
  readonly size: number
  append (name: string, value: string): void
  delete (name: string, value?: string): void
  get (name: string): string | null
  getAll (name: string): string[]
  has (name: string, value?: string): boolean
  set (name: string, value: string): void
  sort (): void
  forEach (callback: (value: string, name: string, all: URLSearchParams) => void, thisArgument?: unknown): void
  entries (): IterableIterator<[string, string]>
  keys (): IterableIterator<string>
  values (): IterableIterator<string>
  [Symbol.iterator] (): IterableIterator<[string, string]>
  toString (): string
}

/** Virtual time: the milliseconds since the script was loaded. */
declare const performance: {
  readonly timeOrigin: number
  now (): number
  toJSON (): { timeOrigin: number }
}

declare class DOMException extends Error {
  constructor (message?: string, name?: string)
  readonly code: number
}

interface EventInit { bubbles?: boolean, cancelable?: boolean, composed?: boolean }
declare class Event {
  constructor (type: string, options?: EventInit)
  static readonly NONE: 0
  static readonly CAPTURING_PHASE: 1
  static readonly AT_TARGET: 2
  static readonly BUBBLING_PHASE: 3
  readonly type: string
  readonly target: EventTarget | null
  readonly currentTarget: EventTarget | null
  readonly eventPhase: number
  readonly bubbles: boolean
  readonly cancelable: boolean
  readonly composed: boolean
  readonly defaultPrevented: boolean
  readonly isTrusted: boolean
  readonly timeStamp: number
  composedPath (): EventTarget[]
  preventDefault (): void
  stopPropagation (): void
  stopImmediatePropagation (): void
}
type EventListener = ((event: Event) => void) | { handleEvent (event: Event): void }
declare class EventTarget {
  addEventListener (type: string, listener: EventListener | null, options?: boolean | { capture?: boolean, once?: boolean, passive?: boolean, signal?: AbortSignal }): void
  removeEventListener (type: string, listener: EventListener | null, options?: boolean | { capture?: boolean }): void
  dispatchEvent (event: Event): boolean
}
declare class AbortController {
  readonly signal: AbortSignal
  abort (reason?: unknown): void
}
declare class AbortSignal extends EventTarget {
  private constructor ()
  static abort (reason?: unknown): AbortSignal
  /** In virtual time. */
  static timeout (milliseconds: number): AbortSignal
  static any (signals: Iterable<AbortSignal>): AbortSignal
  readonly aborted: boolean
  readonly reason: any
  onabort: ((event: Event) => void) | null
  throwIfAborted (): void
}

type HashName = 'SHA-1' | 'SHA-256' | 'SHA-384' | 'SHA-512'
type HashAlgorithm = HashName | { name: HashName }
interface CryptoKey {
  readonly type: 'public' | 'secret'
  readonly extractable: boolean
  readonly algorithm: { name: string, namedCurve?: string, hash?: { name: HashName }, length?: number }
  readonly usages: ('sign' | 'verify')[]
}
declare const crypto: {
  /** FROM THE CALL'S PLACE IN THE LOG: REPEATABLE, SO NEVER A SECRET. */
  getRandomValues<T extends Int8Array | Uint8Array | Uint8ClampedArray | Int16Array | Uint16Array | Int32Array | Uint32Array | BigInt64Array | BigUint64Array> (array: T): T
  /** FROM THE CALL'S PLACE IN THE LOG: REPEATABLE, SO NEVER A SECRET. */
  randomUUID (): `${string}-${string}-${string}-${string}-${string}`
  /** Only what needs no secret: digests, and signatures that are checked. */
  readonly subtle: {
    digest (algorithm: HashAlgorithm, data: LibVMS.Bytes): Promise<ArrayBuffer>
    importKey (format: 'raw' | 'spki' | 'jwk', key: LibVMS.Bytes | object, algorithm: 'Ed25519' | { name: 'Ed25519' } | { name: 'ECDSA', namedCurve: 'P-256' } | { name: 'HMAC', hash: HashAlgorithm, length?: number }, extractable: boolean, usages: ('sign' | 'verify')[]): Promise<CryptoKey>
    verify (algorithm: 'Ed25519' | 'HMAC' | { name: 'Ed25519' | 'HMAC' } | { name: 'ECDSA', hash: HashAlgorithm }, key: CryptoKey, signature: LibVMS.Bytes, data: LibVMS.Bytes): Promise<boolean>
  }
}
