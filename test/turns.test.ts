import test from 'ava'
import { Turns } from '../common/media/turns.ts'

const never = new Promise<never>(() => {})

test('so many have their turn at once, the others after them in their order, and one that is over waits no more', async t => {
  const turns = new Turns(2)
  const order: number[] = []
  const take = async (i: number, over: Promise<unknown> = never) => {
    const turn = await turns.take(over)
    if (turn !== undefined) order.push(i)
    return turn
  }
  const [first, second] = await Promise.all([take(1), take(2)])
  const over = Promise.withResolvers<void>()
  const waiting = [take(3, over.promise), take(4), take(5)]
  over.resolve()
  t.is(await waiting[0], undefined)
  t.deepEqual(order, [1, 2])
  first?.[Symbol.dispose]()
  first?.[Symbol.dispose]() // once is enough
  const fourth = await waiting[1]
  t.deepEqual(order, [1, 2, 4])
  second?.[Symbol.dispose]()
  fourth?.[Symbol.dispose]()
  await waiting[2]
  t.deepEqual(order, [1, 2, 4, 5])
  t.not(await take(6), undefined) // a place is free
})
