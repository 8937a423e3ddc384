"""The parts of `tests/fuzz.py`, which calls every public function with random arguments, for as long as it is told to.

    cases      a case: the function, sizes and options of one call as a line of text; how it is drawn and made smaller
    arena      arrays of every layout in the middle of larger ones, whose other bytes are watched
    problem    the numbers of a case, and what must come out: by `fastlstm.reference`, and to the bit
    functions  the table of what is called: a new function gets an entry here
    compiled   the entries for functions that are called from compiled code
    damage     wrong arguments, and arrays that share memory
    run        a case from its beginning to its end

Cells come from the package's own table: a new one is drawn as soon as it stands there.
"""
