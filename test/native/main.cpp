#include "check.h"

int main(int argc, char** argv) { return ajet::test::run_tests(argc, argv); }
