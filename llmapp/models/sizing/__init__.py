"""What a model takes in memory, from its files or from published facts: no torch, no network, nothing is loaded.

`shape` is what is known of a model, `named` finds it by a name, a path or a number of parameters, `fitting` is the
arithmetic. Bytes are whole numbers; GB is 10^9 bytes and GiB is 2^30, 7.4 % more.
"""
