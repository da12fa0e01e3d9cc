#include "server/command_line.h"

int main(int argc, char** argv) {
  return jeton::server::RunCommandLine(argc, argv);
}
