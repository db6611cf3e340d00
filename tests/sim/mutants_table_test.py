"""The table of mutants names each mutant of base/mutant.h once, and nothing else."""

import pathlib
import unittest

from tests.sim import mutants


class MutantsTableTest(unittest.TestCase):
    def test_the_table_is_that_of_the_code(self):
        in_code = mutants.mutants_in_code(pathlib.Path("base/mutant.h"))
        self.assertGreater(len(in_code), 30)
        self.assertEqual(sorted(row.mutant for row in mutants.read_table()), sorted(in_code))

    def test_every_row_says_what_catches_it(self):
        for row in mutants.read_table():
            self.assertIn(row.kind, ("sim", "script"), row.mutant)
            self.assertLessEqual(row.seeds, 2000, row.mutant)


if __name__ == "__main__":
    unittest.main()
