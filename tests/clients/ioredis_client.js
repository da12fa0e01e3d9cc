// The ioredis client of the system tests: node ioredis_client.js PORT
// Connects, counts, pipelines and subscribes; ends with 0 if all was as expected.
'use strict';

const assert = require('node:assert');
const Redis = require('ioredis');

// A warning is a failure: it is what a user would see first.
process.on('warning', (warning) => { throw warning; });

async function main() {
  const port = Number(process.argv[2]);
  const client = new Redis({ port, host: '127.0.0.1', maxRetriesPerRequest: 1, connectionName: 'ioredis-test' });
  client.on('error', (error) => { throw error; });

  await client.del('ioredis:count', 'ioredis:pipeline', 'ioredis:channel');
  assert.strictEqual(await client.incr('ioredis:count'), 1);
  assert.strictEqual(await client.incrby('ioredis:count', 41), 42);
  assert.strictEqual(await client.get('ioredis:count'), '42');
  assert.strictEqual(await client.incrbyfloat('ioredis:count', 0.5), '42.5');
  assert.strictEqual(await client.set('ioredis:count', '7'), 'OK');
  assert.strictEqual(await client.get('ioredis:missing'), null);
  assert.strictEqual(await client.client('GETNAME'), 'ioredis-test');

  const pipeline = client.pipeline();
  for (let i = 0; i < 1000; ++i) pipeline.incr('ioredis:pipeline');
  const replies = await pipeline.exec();
  replies.forEach(([error, value], i) => {
    assert.ifError(error);
    assert.strictEqual(value, i + 1);
  });
  const together = await client.multi().incr('ioredis:pipeline').decr('ioredis:pipeline').exec();
  assert.deepStrictEqual(together, [[null, 1001], [null, 1000]]);

  const subscriber = client.duplicate();
  const message = new Promise((resolve) => {
    subscriber.on('message', (channel, value) => resolve([channel, value]));
  });
  await subscriber.subscribe('ioredis:channel');
  const start = Date.now();
  await client.incrby('ioredis:channel', 7);
  assert.deepStrictEqual(await message, ['ioredis:channel', '7']);
  assert.ok(Date.now() - start < 2000, 'the message came later than two seconds');

  subscriber.disconnect();
  await client.quit();
  console.log('ok');
}

main().catch((error) => {
  console.error(error);
  process.exit(1);
});
