// What programs do with beanstalkd from Node, with the promise client jackd: producers and workers at
// once, each on a connection; retries with a delay; what fails for good is buried and kicked later.

'use strict'

const assert = require('assert')
const Jackd = require('jackd')

const ADDRESS = {host: '127.0.0.1', port: 11300}
const JOBS = 500
const WORKERS = 8

async function connect() {
  const client = new Jackd()
  await client.connect(ADDRESS)
  return client
}

// Each job is done by one worker, the first time it is tried it is given back.
async function everyJobIsDoneOnce() {
  const producer = await connect()
  await producer.use('work')
  for (let i = 0; i < JOBS; i++) {
    await producer.put({n: i, text: 'as it was'}, {priority: i % 3, ttr: 60})
  }
  const done = new Map()
  const tried = new Set()
  const work = async () => {
    const worker = await connect()
    await worker.watch('work')
    await worker.ignore('default')
    while (done.size < JOBS) {
      let job
      try {
        job = await worker.reserveWithTimeout(1)
      } catch (error) {
        assert.strictEqual(error.message, 'TIMED_OUT')
        continue
      }
      const {n, text} = JSON.parse(job.payload)
      assert.strictEqual(text, 'as it was')
      if (n % 10 === 0 && !tried.has(n)) {
        tried.add(n)
        await worker.release(job.id, {priority: 9, delay: 1})
        continue
      }
      assert(!done.has(n), `job ${n} twice`)
      done.set(n, job.id)
      await worker.delete(job.id)
    }
    await worker.disconnect()
  }
  await Promise.all(Array.from({length: WORKERS}, work))
  assert.strictEqual(done.size, JOBS)
  assert.strictEqual(tried.size, JOBS / 10)
  await producer.disconnect()
}

async function whatIsBuriedComesBackWhenKicked() {
  const client = await connect()
  await client.use('letters')
  await client.watch('letters')
  const id = await client.put('dead', {priority: 5})
  const job = await client.reserve()
  assert.strictEqual(String(job.id), String(id))
  await client.bury(job.id, 7)
  const peeked = await client.peekBuried()
  assert.strictEqual(peeked.payload, 'dead')
  await client.kick(10)
  const again = await client.reserve()
  assert.strictEqual(again.payload, 'dead')
  await client.touch(again.id)
  await client.delete(again.id)
  await assert.rejects(client.delete(again.id), /NOT_FOUND/)
  await client.disconnect()
}

// Who dies gives back what it had.
async function aLostConnectionGivesItsJobBack() {
  const one = await connect()
  await one.use('lost')
  await one.watch('lost')
  await one.put('mine')
  const job = await one.reserve()
  const two = await connect()
  await two.watch('lost')
  const waiting = two.reserve()
  one.socket.destroy()
  const got = await waiting
  assert.strictEqual(String(got.id), String(job.id))
  await two.delete(got.id)
  await two.disconnect()
}

async function main() {
  await everyJobIsDoneOnce()
  await whatIsBuriedComesBackWhenKicked()
  await aLostConnectionGivesItsJobBack()
}

main().then(() => process.exit(0), error => {
  console.log(error.stack)
  process.exit(1)
})
