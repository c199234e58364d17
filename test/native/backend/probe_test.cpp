// Which cards a build has code for.
#include "backend/cuda/probe.h"

#include "check.h"

namespace ajet::test {
namespace {

using cuda::has_code_for;

TEST("code for a card runs on later ones of its major version, PTX on all later ones, and 90a on 9.0 alone") {
  constexpr const char* all = "80+, 90a, 120";
  for (const int minor : {0, 6, 7, 9}) CHECK(has_code_for(all, 8, minor));
  for (const int major : {9, 10, 11, 12, 13}) CHECK(has_code_for(all, major, 0));
  CHECK(!has_code_for(all, 7, 5));

  CHECK(has_code_for("90a", 9, 0));
  CHECK(!has_code_for("90a", 9, 1));
  CHECK(!has_code_for("90a", 10, 0));
  CHECK(!has_code_for("90a", 8, 0));
  CHECK(has_code_for("86, 120", 8, 9));
  CHECK(has_code_for("86, 120", 12, 1));
  CHECK(!has_code_for("86, 120", 8, 0));
  CHECK(!has_code_for("86, 120", 9, 0));
  CHECK(!has_code_for("86, 120", 10, 3));
  CHECK(!has_code_for("", 8, 0));
}

TEST("a card is described, and can be used where there is code for it") {
  const cuda::CudaProbe probe = cuda::probe();
  CHECK_EQ(probe.problem, std::string());
  for (const cuda::CudaDevice& device : probe.devices)
    CHECK_EQ(device.problem.empty(), has_code_for(probe.architectures, device.major, device.minor));
}

}  // namespace
}  // namespace ajet::test
