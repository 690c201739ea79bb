"""What Python's multiprocessing does in the same run.

usage: process.py integers|tables   values a second from this process to a child, through a Queue of 1024
       process.py lock              seconds for acquire and release of a free Lock in a child
       process.py counter           seconds for acquire, add, release when two processes do nothing else
"""
import multiprocessing
import sys
import time

VALUES = {"integers": 7, "tables": {"x": 1, "y": 2, "name": "a table"}}
COUNT = 100000


def receive(queue, ready):
    ready.set()
    for _ in range(COUNT):
        queue.get()


def send(value):
    queue, ready = multiprocessing.Queue(1024), multiprocessing.Event()
    receiver = multiprocessing.Process(target=receive, args=(queue, ready))
    receiver.start()
    ready.wait()
    start = time.monotonic()
    for _ in range(COUNT):
        queue.put(value)
    receiver.join()
    return COUNT / (time.monotonic() - start)


def take(lock, answer):
    start = time.monotonic()
    for _ in range(COUNT):
        lock.acquire()
        lock.release()
    answer.put((time.monotonic() - start) / COUNT)


def add(lock, counter, ready, answer):
    ready.wait()
    start = time.monotonic()
    for _ in range(COUNT):
        with lock:
            counter.value += 1
    answer.put((start, time.monotonic()))


def hold():
    answer = multiprocessing.Queue()
    multiprocessing.Process(target=take, args=(multiprocessing.Lock(), answer)).start()
    return answer.get()


def count():
    lock, counter = multiprocessing.Lock(), multiprocessing.Value("q", 0, lock=False)
    ready, answer = multiprocessing.Barrier(2), multiprocessing.Queue()
    for _ in range(2):
        multiprocessing.Process(target=add, args=(lock, counter, ready, answer)).start()
    spans = [answer.get(), answer.get()]
    return (max(to for _, to in spans) - min(start for start, _ in spans)) / (2 * COUNT)


if __name__ == "__main__":
    what = sys.argv[1]
    print({"lock": hold, "counter": count}.get(what, lambda: send(VALUES[what]))())
