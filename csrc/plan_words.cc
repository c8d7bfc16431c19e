#include "plan_words.h"

#include <cmath>
#include <locale>
#include <sstream>
#include <stdexcept>

namespace octavo {

void Fail(const std::string& message) { throw std::runtime_error(message); }

bool ReadNumber(const std::string& text, double* value) {
  std::istringstream stream(text);
  stream.imbue(std::locale::classic());
  return stream >> *value && stream.peek() == std::istringstream::traits_type::eof() &&
         std::isfinite(*value);
}

double ParseNumber(const std::string& text, const std::string& what) {
  double value = 0;
  if (!ReadNumber(text, &value)) Fail("expected " + what + " (a number), found '" + text + "'");
  return value;
}

std::vector<std::string> Split(const std::string& text, char separator) {
  std::vector<std::string> parts;
  std::istringstream stream(text);
  for (std::string part; std::getline(stream, part, separator);) parts.push_back(part);
  return parts;
}

std::vector<std::string> ParseList(const std::string& text, const char* what) {
  if (text.size() < 2 || text.front() != '[' || text.back() != ']')
    Fail(std::string("expected ") + what + " in square brackets, found '" + text + "'");
  return Split(text.substr(1, text.size() - 2), ',');
}

const std::string& Find(const Attributes& attributes, const char* key) {
  const auto found = attributes.find(key);
  if (found == attributes.end()) Fail(std::string("expected ") + key + "=…, found none");
  return found->second;
}

Words::Words(const std::string& line) {
  std::istringstream stream(line);
  for (std::string word; stream >> word;) words_.push_back(word);
}

std::string Words::Next(const char* what) {
  if (Done()) Fail(std::string("expected ") + what + ", found the end of the line");
  return words_[next_++];
}

void Words::Expect(const char* word) {
  const std::string found = Next(word);
  if (found != word) Fail(std::string("expected '") + word + "', found '" + found + "'");
}

Attributes Words::Rest() {
  Attributes attributes;
  while (!Done()) {
    const std::string word = Next("an attribute");
    const size_t equals = word.find('=');
    if (equals == std::string::npos || equals == 0)
      Fail("expected key=value, found '" + word + "'");
    if (!attributes.emplace(word.substr(0, equals), word.substr(equals + 1)).second)
      Fail("'" + word.substr(0, equals) + "' is given twice");
  }
  return attributes;
}

}  // namespace octavo
