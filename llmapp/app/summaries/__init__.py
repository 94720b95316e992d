"""One summary of many documents: notes on as many as a prompt holds, rounds of notes on notes, then one summary of them.

    material     documents as pieces of text, in order; what a prompt has left of them
    packing      requests that hold all pieces, each within the token budget
    plan         how many requests that are, and what they can cost at worst
    asking       the guarded model, a few requests at a time
    notes        from what it wrote to statements with their evidence, and to the pieces of the next round
    summarizer   the rounds
    result       what comes out

Evidence is the words of documents, never notes: what a statement of the last round cites is a span of a document, whatever
number it had in the rounds between.
"""
