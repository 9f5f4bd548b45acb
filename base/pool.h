/*
 * A pool of worker threads with one queue of jobs.
 *
 * Whoever holds a job's pointer owns it: the submitter until pool_submit, a worker while
 * `run` is called, and then whoever `run` handed it to (usually a completion queue).
 * Threads are started on demand, at most `threads`. All functions are thread-safe.
 */
#pragma once

#include "base/macros.h"

#include <stdbool.h>
#include <stddef.h>

struct pool;

/* threads 0: the number of processors this process may use. */
struct pool *pool_new(unsigned threads);
/* Waits for queued and running jobs, then ends the threads. NULL is fine. */
void pool_free(struct pool *p);
void pool_freep(struct pool **p);
unsigned pool_threads(const struct pool *p);
/* Queues run(arg). Jobs are started in order of submission. A job may submit jobs, but must
 * not wait for one that is queued behind it (see pool_help). */
void pool_submit(struct pool *p, void (*run)(void *arg), void *arg);
/* Runs one queued job on the calling thread, if there is one: for those who wait. */
bool pool_help(struct pool *p);

/* A queue through which finished things come back; any number of producers. */
struct queue;
struct queue *queue_new(void);
void queue_free(struct queue *q);
void queue_freep(struct queue **q);
void queue_push(struct queue *q, void *item);
/* Waits for an item; timeout_ms < 0 waits for ever; NULL on time-out. */
void *queue_pop(struct queue *q, int timeout_ms);
