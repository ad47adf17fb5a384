# What belongs to the host's session and IPC: a System V segment, a message queue, a key. Arguments: the segment's key, the queue's
# name, the key's description.
segment, queue, key = int(sys.argv[1]), sys.argv[2].lstrip("/").encode(), sys.argv[3].encode()
SYS_shmget, SYS_mq_open, SYS_request_key, SYS_keyctl = 29, 240, 249, 250
KEYCTL_SEARCH, SESSION, USER = 10, -3, -4

attempt("find the System V segment", lambda: call(SYS_shmget, segment, 0, 0) + 1)
attempt("open the message queue", lambda: call(SYS_mq_open, queue, os.O_RDONLY, 0, 0))
attempt("request the key", lambda: call(SYS_request_key, b"user", key, 0, 0))
attempt("search the session for the key", lambda: call(SYS_keyctl, KEYCTL_SEARCH, SESSION, b"user", key, 0))
attempt("search the user's keys for it", lambda: call(SYS_keyctl, KEYCTL_SEARCH, USER, b"user", key, 0))
done()
