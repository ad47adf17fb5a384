# A socket of the host's in the abstract namespace, unix(7), which belongs to the network namespace. Argument: its name.
import socket


def dial():
    with socket.socket(socket.AF_UNIX, socket.SOCK_STREAM) as peer:
        peer.connect("\0" + sys.argv[1])
        return peer.recv(100)


attempt("connect to an abstract socket of the host's", dial)
done()
