// The node-redis client of the system tests: node node_redis_client.js PORT
// Connects, counts, pipelines and subscribes; ends with 0 if all was as expected.
'use strict';

const assert = require('node:assert');
const { createClient } = require('redis');

// A warning is a failure: it is what a user would see first.
process.on('warning', (warning) => { throw warning; });

async function main() {
  const url = `redis://127.0.0.1:${process.argv[2]}`;
  const client = createClient({ url, name: 'node-redis-test' });
  client.on('error', (error) => { throw error; });
  await client.connect();

  await client.del(['node-redis:count', 'node-redis:pipeline', 'node-redis:channel']);
  assert.strictEqual(await client.incr('node-redis:count'), 1);
  assert.strictEqual(await client.incrBy('node-redis:count', 41), 42);
  assert.strictEqual(await client.get('node-redis:count'), '42');
  assert.strictEqual(String(await client.incrByFloat('node-redis:count', 0.5)), '42.5');
  assert.strictEqual(await client.set('node-redis:count', '7'), 'OK');
  assert.strictEqual(await client.get('node-redis:missing'), null);
  assert.strictEqual(await client.clientGetName(), 'node-redis-test');

  // Requests of one tick leave in one write.
  const replies = await Promise.all(Array.from({ length: 1000 }, () => client.incr('node-redis:pipeline')));
  assert.deepStrictEqual(replies, Array.from({ length: 1000 }, (_, i) => i + 1));
  const together = await client.multi().incr('node-redis:pipeline').decr('node-redis:pipeline').exec();
  assert.deepStrictEqual(together, [1001, 1000]);

  const subscriber = client.duplicate();
  subscriber.on('error', (error) => { throw error; });
  await subscriber.connect();
  let start;
  const message = new Promise((resolve, reject) => {
    subscriber.subscribe('node-redis:channel', (value, channel) => resolve([channel, value]))
      .then(() => {
        start = Date.now();
        return client.incrBy('node-redis:channel', 7);
      }).catch(reject);
  });
  assert.deepStrictEqual(await message, ['node-redis:channel', '7']);
  assert.ok(Date.now() - start < 2000, 'the message came later than two seconds');

  await subscriber.close();
  await client.close();
  console.log('ok');
}

main().catch((error) => {
  console.error(error);
  process.exit(1);
});
