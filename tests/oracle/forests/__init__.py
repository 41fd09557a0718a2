"""The same oracle for trees: ``arithmetic`` is docs/trees.md, written down anew; ``generate`` makes forests and samples."""
