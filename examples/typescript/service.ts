// A service in TypeScript with a package of npm: orders that are checked before they are kept.
//
//   cd examples/typescript && npm install && npm run build && vms host service.mjs
//
// `build` puts all of it into one ES module (what is imported from npm, too), with a source map at its end, so that errors
// are told at their line in this file. `check` looks at the types: `vms types > libvms.d.ts` says what a service finds.

import { z } from 'zod'

const Order = z.object({
  article: z.string().min(1).max(100),
  count: z.number().int().min(1).max(1000),
  note: z.string().optional()
})
type Order = z.infer<typeof Order>

interface Kept extends Order {
  readonly id: string
  readonly by: string | null
}

const nameOf = (id: string): string => `/orders/${id}.json`

/** Keeps an order; returns its id, the digest of all that is in it. */
export async function order (wish: unknown): Promise<string> {
  const checked = Order.safeParse(wish)
  if (!checked.success) {
    const details = checked.error.issues.map(({ path, message }) => ({ path: path.join('.'), message }))
    throw Object.assign(new TypeError('this is no order'), { data: details })
  }
  const by = System.caller.id
  const text = JSON.stringify([by, performance.now(), checked.data])
  const id = Buffer.from(System.crypto.sha256(new TextEncoder().encode(text)).slice(0, 8).buffer).toString('hex')
  const kept: Kept = { ...checked.data, id, by }
  await System.files.writeFile(nameOf(id), kept, 'json')
  return id
}

/** Returns an order. */
export async function show (id: string): Promise<Kept> {
  return System.files.readFile(nameOf(id), 'json')
}

/** Returns the address at which a page may show an order. */
export const link = (id: string): string => new URL(`?order=${encodeURIComponent(id)}`, 'https://shop.example/').href
