// The file format: what is written is read back to the bit; every malformed file is an error that names file,
// tensor and problem.
#include "model/safetensors.h"

#include <sys/resource.h>

#include <bit>
#include <cmath>
#include <csignal>
#include <cstring>
#include <limits>

#include "base/error.h"
#include "check.h"
#include "model/float_formats.h"
#include "model_fixtures.h"

namespace ajet::test {
namespace {

std::string file_bytes(const std::string& header, size_t data_bytes, uint64_t header_length) {
  std::string bytes(8, '\0');
  std::memcpy(bytes.data(), &header_length, 8);
  return bytes + header + std::string(data_bytes, '\1');
}
std::string file_bytes(const std::string& header, size_t data_bytes) {
  return file_bytes(header, data_bytes, header.size());
}

// Opens (and reads, where it opens) a file with these bytes; the message must name the file and hold `part`.
void check_corrupt(const std::string& bytes, const std::string& part) {
  const TemporaryFolder folder;
  const std::string path = folder.path("broken.safetensors");
  write_file(path, bytes);
  std::string message = "(opened)";
  try {
    const SafetensorsFile file = SafetensorsFile::open(path);
    std::vector<float> out(64);
    for (const SafetensorsTensor& tensor : file.tensors()) file.read(tensor, 0, tensor.elements, out.data());
  } catch (const Error& error) {
    CHECK(error.code() == ErrorCode::corrupt_file);
    message = error.what();
  }
  if (message.find(part) == std::string::npos) fail_at(__FILE__, __LINE__, "expected \"", part, "\", got: ", message);
  CHECK(message.find(path) != std::string::npos);
}

void write_floats(const std::string& path, SafetensorsDType dtype, const std::vector<float>& values) {
  SafetensorsWriter writer(path, dtype);
  writer.add("x", {static_cast<int64_t>(values.size())}, [&](int64_t first, int64_t rows, std::vector<float>& out) {
    out.assign(values.begin() + first, values.begin() + first + rows);
  });
  writer.finish();
}

std::vector<float> read_floats(const std::string& path) {
  const SafetensorsFile file = SafetensorsFile::open(path);
  const SafetensorsTensor& tensor = file.tensor("x");
  std::vector<float> out(static_cast<size_t>(tensor.elements));
  file.read(tensor, 0, tensor.elements, out.data());
  return out;
}

int64_t files_in(const TemporaryFolder& folder) {
  const std::filesystem::directory_iterator entries(folder.path());
  return std::distance(begin(entries), end(entries));
}

}  // namespace

TEST("safetensors: float32 keeps every bit, bfloat16 rounds to nearest even") {
  const TemporaryFolder folder;
  const std::string path = folder.path("x.safetensors");
  const float infinity = std::numeric_limits<float>::infinity();
  const std::vector<float> values{0.0F,        -0.0F,  1.0F,     0x1.01p0F, 0x1.03p0F,  0x1.010002p0F,
                                  -3.1415927F, 1e-40F, infinity, -infinity, 0x1.ffp127F};
  write_floats(path, SafetensorsDType::f32, values);
  const std::vector<float> exact = read_floats(path);
  CHECK(std::memcmp(exact.data(), values.data(), values.size() * sizeof(float)) == 0);
  write_floats(path, SafetensorsDType::bf16, values);
  const std::vector<float> rounded = read_floats(path);
  CHECK_EQ(rounded[3], 0x1.00p0F);  // tie: to even
  CHECK_EQ(rounded[4], 0x1.04p0F);  // tie: to even
  CHECK_EQ(rounded[5], 0x1.02p0F);  // above the tie
  CHECK_EQ(rounded[8], infinity);
  CHECK_EQ(rounded[10], infinity);  // beyond the largest bfloat16
  CHECK(std::signbit(rounded[1]));
  CHECK(std::isnan(bf16_to_f32(f32_to_bf16(std::numeric_limits<float>::quiet_NaN()))));
  CHECK(std::isnan(bf16_to_f32(f32_to_bf16(std::bit_cast<float>(0x7F800001U)))));
}

TEST("safetensors: float16 is read exactly") {
  CHECK_EQ(f16_to_f32(0x3C00), 1.0F);
  CHECK_EQ(f16_to_f32(0xC000), -2.0F);
  CHECK_EQ(f16_to_f32(0x7BFF), 65504.0F);
  CHECK_EQ(f16_to_f32(0x0001), 0x1p-24F);
  CHECK_EQ(f16_to_f32(0x8200), -0x1p-15F);
  CHECK_EQ(f16_to_f32(0x7C00), std::numeric_limits<float>::infinity());
  CHECK(std::isnan(f16_to_f32(0x7E00)) && std::signbit(f16_to_f32(0x8000)));
  const TemporaryFolder folder;
  const std::string path = folder.path("half.safetensors");
  std::string bytes = file_bytes(R"({"x": {"dtype": "F16", "shape": [2], "data_offsets": [0, 4]}})", 0);
  bytes += std::string("\x00\x3C\x00\xC0", 4);
  write_file(path, bytes);
  CHECK(read_floats(path) == (std::vector<float>{1.0F, -2.0F}));
}

TEST("safetensors: aligned header, metadata, tensors in name order, reads of a part") {
  const TemporaryFolder folder;
  const std::string path = folder.path("t.safetensors");
  const std::vector<float> values{1, 2, 3, 4, 5, 6};
  SafetensorsWriter writer(path, SafetensorsDType::f32, {{"format", "pt"}, {"step", "7"}});
  for (const std::string name : {"b", "c", "a"}) {
    writer.add(name, {3, 2}, [&values](int64_t first, int64_t rows, std::vector<float>& out) {
      out.assign(values.begin() + first * 2, values.begin() + (first + rows) * 2);
    });
  }
  CHECK_ERROR(writer.add("a", {1}, {}), "`a` twice");
  writer.finish();
  const SafetensorsFile file = SafetensorsFile::open(path);
  CHECK_EQ(file.metadata().at("step"), "7");
  CHECK_EQ(file.tensors().size(), size_t{3});
  CHECK_EQ(file.tensors()[0].name, "a");
  CHECK_EQ(file.tensors()[0].offset % 8, 0);
  CHECK_EQ(file.tensors()[1].offset, file.tensors()[0].offset + 24);
  std::vector<float> part(3);
  file.read(file.tensor("b"), 2, 3, part.data());
  CHECK(part == (std::vector<float>{3, 4, 5}));
  CHECK_ERROR(file.read(file.tensor("b"), 4, 3, part.data()), "within the 6 elements of `b`");
  CHECK_ERROR(file.tensor("d"), "tensor `d` is missing");
  CHECK_EQ(files_in(folder), 1);
}

TEST("safetensors: every malformed file is refused") {
  const std::string good = R"({"x": {"dtype": "F32", "shape": [2, 2], "data_offsets": [0, 16]}})";
  check_corrupt("", "0 bytes, too few for a header");
  check_corrupt("1234567", "7 bytes");
  check_corrupt(file_bytes(good, 16, 1000), "header length 1000 reaches beyond the file");
  check_corrupt(file_bytes(good, 16, UINT64_MAX), "reaches beyond the file");
  check_corrupt(file_bytes(good, 15), "`x`: its data_offsets [0, 16] lie outside the 15 bytes of data");
  check_corrupt(file_bytes(good, 17), "end at data byte 16, but it has 17");
  check_corrupt(file_bytes("{\"x\": ", 16), "its header is not valid");
  check_corrupt(file_bytes("[]", 0), "not a JSON object");
  check_corrupt(file_bytes(R"({"x": 1})", 0), "`x`: its header entry 1 lacks");
  check_corrupt(file_bytes(R"({"x": {"dtype": "F32", "shape": [4]}})", 16),
                "lacks a valid dtype, shape or data_offsets");
  check_corrupt(file_bytes(R"({"x": {"dtype": "Q4", "shape": [4], "data_offsets": [0, 16]}})", 16),
                "dtype \"Q4\" is unknown");
  check_corrupt(file_bytes(R"({"x": {"dtype": "I32", "shape": [4], "data_offsets": [0, 16]}})", 16),
                "`x` has dtype I32, but F32, BF16 or F16 is expected");
  check_corrupt(file_bytes(R"({"x": {"dtype": "F32", "shape": [-4], "data_offsets": [0, 16]}})", 16),
                "shape [-4] is not valid");
  check_corrupt(
      file_bytes(R"({"x": {"dtype": "F32", "shape": [4294967296, 4294967296], "data_offsets": [0, 16]}})", 16),
      "is not valid");
  check_corrupt(file_bytes(R"({"x": {"dtype": "F32", "shape": [5], "data_offsets": [0, 16]}})", 16),
                "span 16 bytes, but shape [5] of F32 takes 20");
  check_corrupt(file_bytes(R"({"x": {"dtype": "F32", "shape": [4], "data_offsets": [16, 0]}})", 16), "lie outside");
  check_corrupt(file_bytes(R"({"x": {"dtype": "F32", "shape": [2], "data_offsets": [0, 8]},
                              "y": {"dtype": "F32", "shape": [2], "data_offsets": [4, 12]}})",
                           12),
                "`y` begins at data byte 4, but overlaps");
  check_corrupt(file_bytes(R"({"x": {"dtype": "F32", "shape": [1], "data_offsets": [0, 4]},
                              "y": {"dtype": "F32", "shape": [1], "data_offsets": [8, 12]}})",
                           12),
                "`y` begins at data byte 8, but the tensor before it ends at 4");
  check_corrupt(file_bytes(R"({"x": {"dtype": "F32", "shape": [1], "data_offsets": [0, 4]},
                              "x": {"dtype": "F32", "shape": [1], "data_offsets": [4, 8]}})",
                           8),
                "`x` twice");
  check_corrupt(file_bytes(R"({"__metadata__": {"step": 7}})", 0), "`step` is not a string");
}

TEST("safetensors: a path that cannot be read or written is an io error with the reason") {
  const TemporaryFolder folder;
  CHECK_ERROR(SafetensorsFile::open(folder.path("none")), "No such file or directory");
  CHECK_ERROR(SafetensorsFile::open(folder.path()), "a regular file");
  CHECK_ERROR(write_floats(folder.path("none/x"), SafetensorsDType::f32, {1}), "No such file or directory");
  try {
    write_floats(folder.path("none/x"), SafetensorsDType::f32, {1});
  } catch (const Error& error) {
    CHECK(error.code() == ErrorCode::io);
  }
}

TEST("safetensors: a full disk is an io error, and neither a part nor a temporary file stays") {
  const TemporaryFolder folder;
  const std::string path = folder.path("x.safetensors");
  write_floats(path, SafetensorsDType::f32, {1, 2, 3});
  // A file size limit fails a write as a full disk does.
  rlimit previous{};
  ::getrlimit(RLIMIT_FSIZE, &previous);
  const rlimit limited{64 * 1024, previous.rlim_max};
  const auto previous_handler = std::signal(SIGXFSZ, SIG_IGN);
  ::setrlimit(RLIMIT_FSIZE, &limited);
  std::string message = "(written)";
  try {
    write_floats(path, SafetensorsDType::f32, std::vector<float>(100'000, 1.0F));
  } catch (const Error& error) {
    message = error.code() == ErrorCode::io ? error.what() : "(not an io error)";
  }
  ::setrlimit(RLIMIT_FSIZE, &previous);
  std::signal(SIGXFSZ, previous_handler);
  CHECK(message.find("Failed to write " + path + ": File too large") != std::string::npos);
  CHECK(read_floats(path) == (std::vector<float>{1, 2, 3}));
  CHECK_EQ(files_in(folder), 1);
}

}  // namespace ajet::test
