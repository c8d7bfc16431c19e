// The words and numbers of a plan's text form. Everything throws std::runtime_error that says what
// was expected and what was found.
#pragma once

#include <charconv>
#include <cstdint>
#include <map>
#include <string>
#include <vector>

namespace octavo {

using Attributes = std::map<std::string, std::string>;

[[noreturn]] void Fail(const std::string& message);

// A number as JavaScript prints it, the same in every locale. False where the text is none.
bool ReadNumber(const std::string& text, double* value);

template <typename Integer>
bool ReadInteger(const std::string& text, Integer* value) {
  const char* end = text.data() + text.size();
  const auto result = std::from_chars(text.data(), end, *value);
  return result.ec == std::errc() && result.ptr == end;
}

template <typename Integer = int>
Integer ParseInteger(const std::string& text, const char* what, Integer least) {
  Integer value = 0;
  if (!ReadInteger(text, &value) || value < least)
    Fail(std::string("expected ") + what + " (an integer of at least " + std::to_string(least) +
         "), found '" + text + "'");
  return value;
}

double ParseNumber(const std::string& text, const std::string& what);

std::vector<std::string> Split(const std::string& text, char separator);

// "[a,b]" as its parts.
std::vector<std::string> ParseList(const std::string& text, const char* what);

// The value of an attribute that must be there.
const std::string& Find(const Attributes& attributes, const char* key);

// The words of one line, taken from left to right.
class Words {
 public:
  explicit Words(const std::string& line);

  bool Done() const { return next_ == words_.size(); }
  std::string Next(const char* what);
  void Expect(const char* word);
  // The rest of the line as key=value.
  Attributes Rest();

 private:
  std::vector<std::string> words_;
  size_t next_ = 0;
};

}  // namespace octavo
