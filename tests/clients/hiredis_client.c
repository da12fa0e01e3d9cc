/* The hiredis client of the system tests: hiredis_client PORT [HELLO-VERSION]
 *
 * Connects, counts, pipelines and subscribes. Prints "ok" and ends with 0, or
 * prints what was wrong and ends with 1. Debian's hiredis knows RESP2 only: with
 * HELLO 2 it gets Redis' replies, without it those of the port, so that a count
 * may be an integer or text. */
#include <hiredis/hiredis.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

static void Fail(const char* what, const char* detail) {
  printf("%s: %s\n", what, detail);
  exit(1);
}

static long long Number(const redisReply* reply, const char* what) {
  if (reply == NULL) Fail(what, "no reply");
  if (reply->type == REDIS_REPLY_INTEGER) return reply->integer;
  if (reply->type == REDIS_REPLY_STRING) return strtoll(reply->str, NULL, 10);
  Fail(what, reply->str != NULL ? reply->str : "neither an integer nor text");
  return 0;
}

static void Expect(redisContext* context, long long value, const char* format, ...) {
  va_list arguments;
  va_start(arguments, format);
  redisReply* reply = redisvCommand(context, format, arguments);
  va_end(arguments);
  if (reply == NULL) Fail(format, context->errstr);
  if (Number(reply, format) != value) Fail(format, "another number was expected");
  freeReplyObject(reply);
}

static redisContext* Connect(int port, const char* version) {
  const struct timeval timeout = {5, 0};
  redisContext* context = redisConnectWithTimeout("127.0.0.1", port, timeout);
  if (context == NULL || context->err != 0)
    Fail("connect", context ? context->errstr : "no memory");
  redisSetTimeout(context, timeout);
  if (version != NULL) {
    redisReply* reply = redisCommand(context, "HELLO %s", version);
    if (reply == NULL || reply->type == REDIS_REPLY_ERROR) Fail("HELLO", "refused");
    freeReplyObject(reply);
  }
  return context;
}

static void Pipeline(redisContext* context) {
  enum { kRequests = 1000 };
  for (int i = 0; i < kRequests; ++i) redisAppendCommand(context, "INCR hiredis:pipeline");
  for (int i = 1; i <= kRequests; ++i) {
    redisReply* reply = NULL;
    if (redisGetReply(context, (void**)&reply) != REDIS_OK) Fail("pipeline", context->errstr);
    if (Number(reply, "pipeline") != i) Fail("pipeline", "replies out of order");
    freeReplyObject(reply);
  }
}

static long long Message(redisContext* subscriber) {
  redisReply* reply = NULL;
  if (redisGetReply(subscriber, (void**)&reply) != REDIS_OK) Fail("message", subscriber->errstr);
  if (reply->elements != 3 || strcmp(reply->element[0]->str, "message") != 0) {
    Fail("message", "not a message of three elements");
  }
  const long long value = Number(reply->element[2], "message");
  freeReplyObject(reply);
  return value;
}

int main(int argc, char** argv) {
  if (argc < 2) Fail("usage", "hiredis_client PORT [HELLO-VERSION]");
  const int port = atoi(argv[1]);
  const char* version = argc > 2 ? argv[2] : NULL;

  redisContext* context = Connect(port, version);
  redisReply* reply = redisCommand(context, "DEL hiredis:count hiredis:pipeline hiredis:channel");
  freeReplyObject(reply);
  Expect(context, 1, "INCR hiredis:count");
  Expect(context, 42, "INCRBY hiredis:count %d", 41);
  Expect(context, 42, "GET %b", "hiredis:count", (size_t)13);
  Pipeline(context);
  Expect(context, 1000, "GET hiredis:pipeline");

  redisContext* subscriber = Connect(port, version);
  redisAppendCommand(subscriber, "SUBSCRIBE hiredis:channel");
  if (redisGetReply(subscriber, (void**)&reply) != REDIS_OK) Fail("SUBSCRIBE", subscriber->errstr);
  if (reply->elements != 3 || strcmp(reply->element[0]->str, "subscribe") != 0) {
    Fail("SUBSCRIBE", "not confirmed");
  }
  freeReplyObject(reply);
  Expect(context, 7, "INCRBY hiredis:channel 7");
  struct timespec start, end;
  clock_gettime(CLOCK_MONOTONIC, &start);
  if (Message(subscriber) != 7) Fail("message", "another value was expected");
  clock_gettime(CLOCK_MONOTONIC, &end);
  if (end.tv_sec - start.tv_sec > 2) Fail("message", "came later than two seconds");

  redisFree(subscriber);
  redisFree(context);
  puts("ok");
  return 0;
}
