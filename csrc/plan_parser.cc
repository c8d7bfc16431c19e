// Parses the text form of a plan, line by line in its fixed order, and checks every reference.
#include <sstream>
#include <stdexcept>

#include "plan.h"
#include "plan_words.h"
#include "weight_line.h"

namespace octavo {
namespace {

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
    const auto attributes = words.Rest();
    plan_.vocab_size = ParseInteger(Find(attributes, "vocab"), "vocab", 1);
    if (attributes.count("ranks") != 0)
      Fail("this is the plan of one of " + Find(attributes, "ranks") +
           " ranks, expected that of the whole model");
    section_ = Section::kHeader;
  }

  void ParseLimits(const std::string& line) {
    Words words(line);
    words.Expect("limits");
    const auto attributes = words.Rest();
    plan_.max_tokens = ParseInteger(Find(attributes, "T"), "T", 1);
    plan_.max_sequences = ParseInteger(Find(attributes, "S"), "S", 1);
    plan_.max_samples = ParseInteger(Find(attributes, "R"), "R", 1);
    plan_.arena_bytes = ParseInteger<size_t>(Find(attributes, "arena"), "arena", 0);
    section_ = Section::kLimits;
  }

  void ParseCache(const std::string& line) {
    Words words(line);
    words.Expect("cache");
    ExpectId(words.Next("a number"), plan_.caches.size());
    CacheGroup group;
    group.name = words.Next("a name");
    group.kind = ParseKind(words.Next("a kind"));
    group.type = ParseCacheType(words.Next("an element type"));
    const auto attributes = words.Rest();
    group.layers = ParseInteger(Find(attributes, "layers"), "layers", 1);
    if (group.IsState()) {
      if (group.type != CacheType::kFloat32) Fail("expected a state of float32");
      group.elements = ParseInteger(Find(attributes, "elements"), "elements", 1);
      plan_.caches.push_back(group);
      return;
    }
    if (group.kind == CacheGroup::Kind::kWindow)
      group.window = ParseInteger(Find(attributes, "window"), "window", 1);
    if (attributes.count("latent") != 0)
      group.latent = ParseInteger(Find(attributes, "latent"), "latent", 0) != 0;
    group.kv_heads = ParseInteger(Find(attributes, "kvHeads"), "kvHeads", 1);
    group.key_dim = ParseInteger(Find(attributes, "keyDim"), "keyDim", 1);
    group.value_dim = ParseInteger(Find(attributes, "valueDim"), "valueDim", 1);
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
    for (const std::string& part : ParseList(text, "invFreq"))
      frequencies.push_back(static_cast<float>(ParseNumber(part, "a frequency")));
    if (dim != 2 * static_cast<int>(frequencies.size()))
      Fail("expected " + std::to_string(dim / 2) + " frequencies for dim=" + std::to_string(dim) +
           ", found " + std::to_string(frequencies.size()));
    return frequencies;
  }

  void ParseRope(const std::string& line) {
    Words words(line);
    words.Expect("rope");
    ExpectId(words.Next("a number"), plan_.ropes.size());
    const auto attributes = words.Rest();
    Rope rope;
    rope.dim = ParseInteger(Find(attributes, "dim"), "dim", 2);
    rope.scale = static_cast<float>(ParseNumber(Find(attributes, "scale"), "scale"));
    rope.inv_freq = ParseFrequencies(Find(attributes, "invFreq"), rope.dim);
    rope.interleaved =
        attributes.count("interleaved") != 0 && Find(attributes, "interleaved") != "0";
    rope.dynamic = attributes.count("base") != 0;
    if (rope.dynamic) {
      rope.base = ParseNumber(Find(attributes, "base"), "base");
      rope.factor = ParseNumber(Find(attributes, "factor"), "factor");
      rope.original = ParseNumber(Find(attributes, "original"), "original");
    }
    if (attributes.count("longInvFreq") != 0) {
      rope.long_inv_freq = ParseFrequencies(Find(attributes, "longInvFreq"), rope.dim);
      rope.long_from = ParseInteger(Find(attributes, "longFrom"), "longFrom", 1);
    }
    plan_.ropes.push_back(rope);
  }

  void ParseWeight(const std::string& line) {
    plan_.weights.push_back(ParseWeightLine(line, plan_.weights.size()));
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
    op.attributes = words.Rest();
    CheckReferences(op);
    if (op.out >= 0) plan_.values.push_back(pending_);
    plan_.ops.push_back(op);
  }

  Value ParseValue(Words* words) const {
    Value value;
    const std::string shape_text = words->Next("a shape");
    const auto shape = ParseList(shape_text, "a shape");
    if (shape.size() != 2) Fail("expected [rows,columns], found '" + shape_text + "'");
    value.rows = ParseRows(shape[0]);
    value.cols = ParseInteger(shape[1], "columns", 1);
    const std::string offset = words->Next("an offset");
    if (offset.front() != '@') Fail("expected @offset, found '" + offset + "'");
    value.offset = ParseInteger<size_t>(offset.substr(1), "an offset", 0);
    words->Expect("=");
    const size_t bytes = static_cast<size_t>(plan_.MaxRows(value.rows)) *
                         static_cast<size_t>(value.cols) * sizeof(float);
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

}  // namespace

Plan Plan::Parse(const std::string& text) { return Parser().Parse(text); }

}  // namespace octavo
