interface Guest { name: string, seats: number }

export const VERSION: string = '1.0'
export class Seats { constructor (readonly most: number) {} }
const guests = new Map<string, Guest>()
const seats = new Seats(3)

/** Says that somebody comes. */
export function come (name: string, count: number = 1): number {
  if (count > seats.most) {
    throw new RangeError(`no ${count} seats for ${name}`)
  }
  guests.set(name, { name, seats: count })
  return [...guests.values()].reduce((sum, guest) => sum + guest.seats, 0)
}
export const list = async (): Promise<Guest[]> => [...guests.values()]
export { list as guests }
export default come
