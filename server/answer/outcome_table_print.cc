// Prints docs/api.md (the first argument) with the table between its markers brought up to date.

#include <fstream>
#include <iostream>
#include <sstream>
#include <string>

#include "server/answer/outcome_docs.h"

int main(int argc, char** argv) {
  if (argc != 2) {
    std::cerr << "usage: outcome_table_print docs/api.md > new\n";
    return 2;
  }
  std::ifstream in(argv[1]);
  std::stringstream text;
  text << in.rdbuf();
  const auto updated = holdfast::WithCurrentOutcomeTable(text.str());
  if (!in || !updated.ok()) {
    std::cerr << argv[1] << ": " << updated.status() << "\n";
    return 1;
  }
  std::cout << *updated;
  return 0;
}
