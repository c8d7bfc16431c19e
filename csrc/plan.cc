// Parses the text form of a plan, line by line in its fixed order, and checks every reference.
#include "plan.h"

#include <algorithm>
#include <charconv>
#include <cmath>
#include <limits>
#include <locale>
#include <numeric>
#include <sstream>

namespace octavo {
namespace {

[[noreturn]] void Fail(const std::string& message) { throw std::runtime_error(message); }

// A number as JavaScript prints it, the same in every locale.
bool ReadNumber(const std::string& text, double* value) {
  std::istringstream stream(text);
  stream.imbue(std::locale::classic());
  return stream >> *value && stream.peek() == std::istringstream::traits_type::eof() &&
         std::isfinite(*value);
}

template <typename Integer>
bool ReadInteger(const std::string& text, Integer* value) {
  const char* end = text.data() + text.size();
  const auto result = std::from_chars(text.data(), end, *value);
  return result.ec == std::errc() && result.ptr == end;
}

template <typename Integer = int>
Integer Integral(const std::string& text, const char* what, Integer least) {
  Integer value = 0;
  if (!ReadInteger(text, &value) || value < least)
    Fail(std::string("expected ") + what + " (an integer of at least " + std::to_string(least) +
         "), found '" + text + "'");
  return value;
}

double Number(const std::string& text, const std::string& what) {
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

// "[a,b]" as its parts.
std::vector<std::string> List(const std::string& text, const char* what) {
  if (text.size() < 2 || text.front() != '[' || text.back() != ']')
    Fail(std::string("expected ") + what + " in square brackets, found '" + text + "'");
  return Split(text.substr(1, text.size() - 2), ',');
}

// The words of one line, taken from left to right.
class Words {
 public:
  explicit Words(const std::string& line) {
    std::istringstream stream(line);
    for (std::string word; stream >> word;) words_.push_back(word);
  }

  bool Done() const { return next_ == words_.size(); }

  std::string Next(const char* what) {
    if (Done()) Fail(std::string("expected ") + what + ", found the end of the line");
    return words_[next_++];
  }

  void Expect(const char* word) {
    const std::string found = Next(word);
    if (found != word) Fail(std::string("expected '") + word + "', found '" + found + "'");
  }

  // The rest of the line as key=value.
  std::map<std::string, std::string> Attributes() {
    std::map<std::string, std::string> attributes;
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

 private:
  std::vector<std::string> words_;
  size_t next_ = 0;
};

const std::string& Attribute(const std::map<std::string, std::string>& attributes,
                             const char* key) {
  const auto found = attributes.find(key);
  if (found == attributes.end()) Fail(std::string("expected ") + key + "=…, found none");
  return found->second;
}

constexpr char kOffset[] = "offset=";

class Parser {
 public:
  Plan Parse(const std::string& text) {
    std::istringstream stream(text);
    int number = 0;
    for (std::string line; std::getline(stream, line);) {
      ++number;
      if (!line.empty() && line.back() == '\r') line.pop_back();
      if (line.empty() || line.front() == '#') continue;
      try {
        ParseLine(line);
      } catch (const std::exception& error) {
        Fail("plan line " + std::to_string(number) + ": " + error.what());
      }
    }
    if (section_ < Section::kLimits) Fail("plan: expected the lines 'octavo-plan' and 'limits'");
    if (plan_.ops.empty()) Fail("plan: expected at least one op");
    return std::move(plan_);
  }

 private:
  enum class Section { kStart, kHeader, kLimits, kCaches, kRopes, kWeights, kOps };

  void ParseLine(const std::string& line) {
    if (section_ == Section::kStart) return ParseHeader(line);
    if (section_ == Section::kHeader) return ParseLimits(line);
    const std::string word = line.substr(0, line.find(' '));
    if (word == "cache") return Enter(Section::kCaches, word), ParseCache(line);
    if (word == "rope") return Enter(Section::kRopes, word), ParseRope(line);
    if (word == "weight") return Enter(Section::kWeights, word), ParseWeight(line);
    section_ = Section::kOps;
    ParseOp(line);
  }

  void Enter(Section section, const std::string& word) {
    if (section < section_) Fail("'" + word + "' comes too late: caches, ropes, weights, then ops");
    section_ = section;
  }

  void ParseHeader(const std::string& line) {
    Words words(line);
    words.Expect("octavo-plan");
    words.Expect("1");
    plan_.name = words.Next("a name");
    plan_.vocab_size = Integral(Attribute(words.Attributes(), "vocab"), "vocab", 1);
    section_ = Section::kHeader;
  }

  void ParseLimits(const std::string& line) {
    Words words(line);
    words.Expect("limits");
    const auto attributes = words.Attributes();
    plan_.max_tokens = Integral(Attribute(attributes, "T"), "T", 1);
    plan_.max_sequences = Integral(Attribute(attributes, "S"), "S", 1);
    plan_.max_samples = Integral(Attribute(attributes, "R"), "R", 1);
    plan_.arena_bytes = Integral<size_t>(Attribute(attributes, "arena"), "arena", 0);
    section_ = Section::kLimits;
  }

  // Things are numbered 0, 1, … so that an id is an index.
  static void ExpectId(const std::string& text, size_t id) {
    if (text != std::to_string(id))
      Fail("expected number " + std::to_string(id) + ", found '" + text + "'");
  }

  void ParseCache(const std::string& line) {
    Words words(line);
    words.Expect("cache");
    ExpectId(words.Next("a number"), plan_.caches.size());
    CacheGroup group;
    group.name = words.Next("a name");
    group.kind = ParseKind(words.Next("a kind"));
    group.type = ParseType(words.Next("an element type"));
    const auto attributes = words.Attributes();
    group.layers = Integral(Attribute(attributes, "layers"), "layers", 1);
    if (group.IsState()) {
      if (group.type != Type::kFloat32) Fail("expected a state of float32");
      group.elements = Integral(Attribute(attributes, "elements"), "elements", 1);
      plan_.caches.push_back(group);
      return;
    }
    if (group.kind == CacheGroup::Kind::kWindow)
      group.window = Integral(Attribute(attributes, "window"), "window", 1);
    if (attributes.count("latent") != 0)
      group.latent = Integral(Attribute(attributes, "latent"), "latent", 0) != 0;
    group.kv_heads = Integral(Attribute(attributes, "kvHeads"), "kvHeads", 1);
    group.key_dim = Integral(Attribute(attributes, "keyDim"), "keyDim", 1);
    group.value_dim = Integral(Attribute(attributes, "valueDim"), "valueDim", 1);
    if (group.latent && group.value_dim > group.key_dim)
      Fail("expected latent values of at most " + std::to_string(group.key_dim) + " columns");
    plan_.caches.push_back(group);
  }

  static CacheGroup::Kind ParseKind(const std::string& kind) {
    if (kind == "full") return CacheGroup::Kind::kFull;
    if (kind == "window") return CacheGroup::Kind::kWindow;
    if (kind == "state") return CacheGroup::Kind::kState;
    Fail("expected a cache of kind 'full', 'window' or 'state', found '" + kind + "'");
  }

  static std::vector<float> ParseFrequencies(const std::string& text, int dim) {
    std::vector<float> frequencies;
    for (const std::string& part : List(text, "invFreq"))
      frequencies.push_back(static_cast<float>(Number(part, "a frequency")));
    if (dim != 2 * static_cast<int>(frequencies.size()))
      Fail("expected " + std::to_string(dim / 2) + " frequencies for dim=" + std::to_string(dim) +
           ", found " + std::to_string(frequencies.size()));
    return frequencies;
  }

  void ParseRope(const std::string& line) {
    Words words(line);
    words.Expect("rope");
    ExpectId(words.Next("a number"), plan_.ropes.size());
    const auto attributes = words.Attributes();
    Rope rope;
    rope.dim = Integral(Attribute(attributes, "dim"), "dim", 2);
    rope.scale = static_cast<float>(Number(Attribute(attributes, "scale"), "scale"));
    rope.inv_freq = ParseFrequencies(Attribute(attributes, "invFreq"), rope.dim);
    rope.interleaved =
        attributes.count("interleaved") != 0 && Attribute(attributes, "interleaved") != "0";
    if (attributes.count("longInvFreq") != 0) {
      rope.long_inv_freq = ParseFrequencies(Attribute(attributes, "longInvFreq"), rope.dim);
      rope.original = Number(Attribute(attributes, "original"), "original");
    }
    rope.dynamic = attributes.count("base") != 0;
    if (rope.dynamic) {
      rope.base = Number(Attribute(attributes, "base"), "base");
      rope.factor = Number(Attribute(attributes, "factor"), "factor");
      rope.original = Number(Attribute(attributes, "original"), "original");
    }
    plan_.ropes.push_back(rope);
  }

  void ParseWeight(const std::string& line) {
    Words words(line);
    words.Expect("weight");
    ExpectId(words.Next("a number"), plan_.weights.size());
    Weight weight;
    const std::string role = words.Next("a role");
    if (role != "matrix" && role != "vector")
      Fail("expected 'matrix' or 'vector', found '" + role + "'");
    weight.matrix = role == "matrix";
    const std::string type = words.Next("an element type");
    if (!ParseQuantization(type, &weight.quantization)) weight.type = ParseType(type);
    if (!weight.matrix && type != NameOf(Type::kFloat32))
      Fail("expected a vector of float32, found " + type);
    const std::string shape_text = words.Next("a shape");
    const auto shape = List(shape_text, "a shape");
    if (shape.size() != (weight.matrix ? 2u : 1u))
      Fail("expected " + role + " of " + (weight.matrix ? "two dimensions" : "one dimension") +
           ", found " + shape_text);
    constexpr int64_t kLeast = 1;
    weight.rows = Integral<int64_t>(shape[0], "rows", kLeast);
    weight.cols = weight.matrix ? Integral<int64_t>(shape[1], "columns", kLeast) : kLeast;
    constexpr int64_t kMost = std::numeric_limits<int32_t>::max();
    if (weight.rows > kMost || weight.cols > kMost)
      Fail("the shape " + shape_text + " is too large");
    std::string word = words.Next("the name of a checkpoint tensor");
    if (!weight.matrix && word.rfind(kOffset, 0) == 0) {
      weight.offset = static_cast<float>(Number(word.substr(sizeof(kOffset) - 1), "offset"));
      word = words.Next("the name of a checkpoint tensor");
    }
    weight.sources.push_back(ParseSource(word));
    while (!words.Done()) weight.sources.push_back(ParseSource(words.Next("a source")));
    CheckSources(&weight);
    plan_.weights.push_back(weight);
  }

  static WeightSource ParseSource(const std::string& word) {
    const size_t colon = word.find(':');
    WeightSource source;
    source.name = word.substr(0, colon);
    if (colon == std::string::npos) return source;
    const size_t at = std::min(word.find('@', colon), word.size());
    constexpr int64_t kLeast = 1;
    source.rows = Integral(word.substr(colon + 1, at - colon - 1), "rows", kLeast);
    if (at < word.size()) source.view = ParseView(word.substr(at + 1), source.rows);
    return source;
  }

  // "first/column step/count x step/…"
  static SourceView ParseView(const std::string& text, int64_t wanted_rows) {
    constexpr int64_t kNone = 0, kLeast = 1;
    const auto parts = Split(text, '/');
    if (parts.size() < 3) Fail("expected first/step/loops behind @, found '" + text + "'");
    SourceView view;
    view.first = Integral(parts[0], "a first element", kNone);
    view.column_step = Integral(parts[1], "a step of columns", kLeast);
    int64_t rows = 1;
    for (size_t i = 2; i < parts.size(); ++i) {
      const auto loop = Split(parts[i], 'x');
      if (loop.size() != 2) Fail("expected a loop countxstep, found '" + parts[i] + "'");
      view.loops.push_back(
          {Integral(loop[0], "a count", kLeast), Integral(loop[1], "a step", kNone)});
      if (view.loops.back().count > wanted_rows / rows)
        Fail("the loops of " + text + " are more than its rows");
      rows *= view.loops.back().count;
    }
    if (rows != wanted_rows)
      Fail("the loops have " + std::to_string(rows) + " rows, expected " +
           std::to_string(wanted_rows));
    return view;
  }

  static void CheckSources(Weight* weight) {
    auto& sources = weight->sources;
    if (sources.size() == 1 && sources[0].rows == 0) sources[0].rows = weight->rows;
    int64_t rows = 0;
    for (const WeightSource& source : sources) {
      if (source.rows == 0) Fail("expected " + source.name + ":rows in a fused weight");
      rows += source.rows;
    }
    if (rows != weight->rows)
      Fail("its sources have " + std::to_string(rows) + " rows, expected " +
           std::to_string(weight->rows));
  }

  // "%1 [T,576] @64 = norm(%0) eps=1 "label"", or without the part up to '='.
  void ParseOp(const std::string& line) {
    const size_t quote = line.find('"');
    if (quote == std::string::npos || line.back() != '"' || quote + 1 >= line.size())
      Fail("expected a label in quotes at the end of the line");
    Op op;
    op.label = line.substr(quote + 1, line.size() - quote - 2);
    if (op.label.empty() || op.label.find_first_of("\"\\") != std::string::npos)
      Fail("expected a label without quotes or backslashes, found '" + op.label + "'");
    Words words(line.substr(0, quote));
    std::string word = words.Next("an op");
    if (word.front() == '%') {
      ExpectId(word.substr(1), plan_.values.size());
      pending_ = ParseValue(&words);
      op.out = static_cast<int>(plan_.values.size());
      word = words.Next("an op");
    }
    ParseCall(word, &op);
    op.attributes = words.Attributes();
    CheckReferences(op);
    if (op.out >= 0) plan_.values.push_back(pending_);
    plan_.ops.push_back(op);
  }

  Value ParseValue(Words* words) const {
    Value value;
    const std::string shape_text = words->Next("a shape");
    const auto shape = List(shape_text, "a shape");
    if (shape.size() != 2) Fail("expected [rows,columns], found '" + shape_text + "'");
    value.rows = ParseRows(shape[0]);
    value.cols = Integral(shape[1], "columns", 1);
    const std::string offset = words->Next("an offset");
    if (offset.front() != '@') Fail("expected @offset, found '" + offset + "'");
    value.offset = Integral<size_t>(offset.substr(1), "an offset", 0);
    words->Expect("=");
    const size_t bytes = MaxRows(value.rows) * static_cast<size_t>(value.cols) * sizeof(float);
    if (value.offset % 64 != 0) Fail("expected an offset that 64 divides, found '" + offset + "'");
    if (value.offset > plan_.arena_bytes || bytes > plan_.arena_bytes - value.offset)
      Fail("the value ends at byte " + std::to_string(value.offset + bytes) + " of an arena of " +
           std::to_string(plan_.arena_bytes));
    return value;
  }

  static Rows ParseRows(const std::string& text) {
    if (text == "T") return Rows::kTokens;
    if (text == "S") return Rows::kSequences;
    if (text == "R") return Rows::kSamples;
    Fail("expected rows T, S or R, found '" + text + "'");
  }

  size_t MaxRows(Rows rows) const {
    switch (rows) {
      case Rows::kTokens: return plan_.max_tokens;
      case Rows::kSequences: return plan_.max_sequences;
      case Rows::kSamples: return plan_.max_samples;
    }
    return 0;
  }

  void ParseCall(const std::string& word, Op* op) const {
    const size_t open = word.find('(');
    if (open == std::string::npos || open == 0 || word.back() != ')')
      Fail("expected kind(%inputs), found '" + word + "'");
    op->kind = word.substr(0, open);
    for (const std::string& part : Split(word.substr(open + 1, word.size() - open - 2), ',')) {
      int id = -1;
      if (part.size() < 2 || part.front() != '%' || !ReadInteger(part.substr(1), &id) || id < 0 ||
          id >= static_cast<int>(plan_.values.size()))
        Fail("expected a value that an earlier line wrote, found '" + part + "'");
      op->inputs.push_back(id);
    }
  }

  void CheckReferences(const Op& op) const {
    for (const char* key :
         {"weight", "bias", "qWeight", "kWeight", "qBias", "kBias", "sinks", "parameters"})
      CheckReference(op, key, plan_.weights.size());
    for (const char* key : {"weights", "biases"}) {
      if (!op.Has(key)) continue;
      for (const int id : op.Ints(key)) CheckBelow(key, id, plan_.weights.size());
    }
    CheckReference(op, "rope", plan_.ropes.size());
    CheckReference(op, "group", plan_.caches.size());
    if (op.Has("layer"))
      CheckReference(op, "layer", op.Has("group") ? plan_.caches[op.Int("group")].layers : 0);
  }

  static void CheckReference(const Op& op, const char* key, size_t count) {
    if (op.Has(key)) CheckBelow(key, op.Int(key), count);
  }

  static void CheckBelow(const char* key, int id, size_t count) {
    if (id < 0 || static_cast<size_t>(id) >= count)
      Fail(std::string("expected ") + key + " below " + std::to_string(count) + ", found " +
           std::to_string(id));
  }

  Plan plan_;
  Section section_ = Section::kStart;
  Value pending_;
};

[[noreturn]] void FailAttribute(const Op& op, const std::string& key, const std::string& expected) {
  const auto found = op.attributes.find(key);
  Fail(op.kind + " \"" + op.label + "\": expected " + key + " to be " + expected + ", found " +
       (found == op.attributes.end() ? "none" : "'" + found->second + "'"));
}

}  // namespace

const std::string& Op::Text(const std::string& key) const {
  const auto found = attributes.find(key);
  if (found == attributes.end()) FailAttribute(*this, key, "given");
  return found->second;
}

int Op::Int(const std::string& key) const {
  int value = 0;
  if (!Has(key) || !ReadInteger(Text(key), &value)) FailAttribute(*this, key, "an integer");
  return value;
}

std::vector<int> Op::Ints(const std::string& key) const {
  std::vector<int> values;
  for (const std::string& part : List(Text(key), key.c_str())) {
    values.push_back(0);
    if (!ReadInteger(part, &values.back())) FailAttribute(*this, key, "a list of integers");
  }
  return values;
}

double Op::Number(const std::string& key) const {
  double value = 0;
  if (!Has(key) || !ReadNumber(Text(key), &value)) FailAttribute(*this, key, "a number");
  return value;
}

uint64_t Weight::Bytes() const {
  const auto row = static_cast<uint64_t>(cols);
  if (!quantization) return static_cast<uint64_t>(rows) * row * SizeOf(type);
  constexpr uint64_t kGroupBytes = 4;
  const uint64_t size = quantization.group == 0 ? row : static_cast<uint64_t>(quantization.group);
  const uint64_t groups = (row + size - 1) / size;
  return static_cast<uint64_t>(rows) * ((row * quantization.bits + 7) / 8 + groups * kGroupBytes);
}

std::vector<float> Op::Numbers(const std::string& key) const {
  std::vector<float> numbers;
  for (const std::string& part : List(Text(key), key.c_str()))
    numbers.push_back(static_cast<float>(octavo::Number(part, key)));
  return numbers;
}

Plan Plan::Parse(const std::string& text) { return Parser().Parse(text); }

}  // namespace octavo
