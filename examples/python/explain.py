"""What a container is: the shell commands that would build the same walls by hand."""

import ctr

print(ctr.explain("host", memory="64M", hostname="box"))
