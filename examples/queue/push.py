#!/usr/bin/env python3
"""Puts a task into the queue of a luaserv server that has a message_queue_key.

    push.py KEY DATA [TARGET]

Nothing but the C library is needed.  The layout of a message is in docs/guide/tasks.md: "LSQ1", four zero bytes, the data.
Run it as the user that the server runs as.
"""
import ctypes
import os
import sys

IPC_NOWAIT = 0o4000
MESSAGE_MAX = 8192

libc = ctypes.CDLL(None, use_errno=True)


def push(key, data, target=0):
    queue = libc.msgget(ctypes.c_int(key & 0xFFFFFFFF), 0)
    if queue < 0:
        raise OSError(ctypes.get_errno(), "there is no such queue: " + os.strerror(ctypes.get_errno()))
    body = b"LSQ1\0\0\0\0" + data
    if len(body) > MESSAGE_MAX:
        raise ValueError("the data is too large for one message: %d bytes, %d at most" % (len(data), MESSAGE_MAX - 8))
    # struct msgbuf: a long, the task worker's number + 1, and then the bytes.
    message = ctypes.create_string_buffer(bytes(ctypes.c_long(target + 1)) + body)
    if libc.msgsnd(queue, message, ctypes.c_size_t(len(body)), IPC_NOWAIT) < 0:
        raise OSError(ctypes.get_errno(), os.strerror(ctypes.get_errno()))


if __name__ == "__main__":
    if len(sys.argv) not in (3, 4):
        sys.exit(__doc__)
    try:
        push(int(sys.argv[1], 0), os.fsencode(sys.argv[2]), int(sys.argv[3]) if len(sys.argv) == 4 else 0)
    except (OSError, ValueError) as e:
        sys.exit("push.py: %s" % e)
