"""How fast networks are: in the kernel, beside the same networks in user space, all in one run."""
