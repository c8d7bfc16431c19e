#include "recording.h"

#include <cstring>
#include <filesystem>
#include <fstream>
#include <iterator>
#include <sstream>
#include <stdexcept>

namespace octavo {
namespace {

namespace fs = std::filesystem;

std::string ReadAll(const fs::path& path) {
  std::ifstream file(path, std::ios::binary);
  if (!file) throw std::runtime_error("cannot read '" + path.u8string() + "'");
  return {std::istreambuf_iterator<char>(file), std::istreambuf_iterator<char>()};
}

// Reads the little-endian words of events.bin.
class Reader {
 public:
  explicit Reader(const std::string& bytes) : bytes_(bytes) {}

  bool Done() const { return at_ == bytes_.size(); }

  int32_t Int() { return Array<int32_t>(1)[0]; }

  // An array whose length was read before.
  template <typename Element>
  std::vector<Element> Array(int64_t count) {
    static_assert(sizeof(Element) == 4, "events.bin holds words");
    if (count < 0 || static_cast<uint64_t>(count) * 4 > bytes_.size() - at_)
      throw std::runtime_error("events.bin ends within an event");
    std::vector<Element> elements(static_cast<size_t>(count));
    for (Element& element : elements) {
      const uint32_t word = Word();
      std::memcpy(&element, &word, sizeof word);
    }
    return elements;
  }

 private:
  uint32_t Word() {
    uint32_t word = 0;
    for (int byte = 0; byte < 4; ++byte)
      word |= uint32_t{static_cast<unsigned char>(bytes_[at_++])} << (8 * byte);
    return word;
  }

  const std::string& bytes_;
  size_t at_ = 0;
};

RecordedStep ReadStep(Reader* reader) {
  const auto counts = reader->Array<int32_t>(4);
  RecordedStep step;
  step.ints = reader->Array<int32_t>(counts[0]);
  step.floats = reader->Array<float>(counts[1]);
  step.expected.ints = reader->Array<int32_t>(counts[2]);
  step.expected.floats = reader->Array<float>(counts[3]);
  return step;
}

std::vector<BlockCopy> ReadCopies(Reader* reader) {
  std::vector<BlockCopy> copies;
  for (int32_t count = reader->Int(); count > 0; --count) {
    const auto ints = reader->Array<int32_t>(5);
    copies.push_back({ints[0], ints[1], ints[2], ints[3], ints[4]});
  }
  return copies;
}

RecordedAdapter ReadAdapter(Reader* reader, size_t count) {
  const RecordedAdapter adapter = {reader->Int(), reader->Int()};
  if (adapter.number < 0 || static_cast<size_t>(adapter.number) >= count)
    throw std::runtime_error("events.bin: adapter " + std::to_string(adapter.number) + " of " +
                             std::to_string(count));
  return adapter;
}

double Double(const std::vector<uint32_t>& words, size_t at) {
  const uint64_t bits = uint64_t{words[at]} | uint64_t{words[at + 1]} << 32;
  double value;
  std::memcpy(&value, &bits, sizeof value);
  return value;
}

MadeNumbers ReadMade(Reader* reader) {
  const auto words = reader->Array<uint32_t>(7);
  if (words[2] > 2) throw std::runtime_error("events.bin: unknown element type");
  return {words[0], words[1], static_cast<Type>(words[2]), Double(words, 3), Double(words, 5)};
}

// What a value is given: so many numbers or, where the count is negative, so many lists of made
// ones.
std::vector<float> ReadGiven(Reader* reader) {
  const int32_t count = reader->Int();
  if (count >= 0) return reader->Array<float>(count);
  std::vector<float> rows;
  for (int32_t left = count; left < 0; ++left) {
    const std::vector<float> part = ReadMade(reader).Make();
    rows.insert(rows.end(), part.begin(), part.end());
  }
  return rows;
}

RecordedProbe ReadProbe(Reader* reader) {
  RecordedProbe probe;
  probe.step = ReadStep(reader);
  for (int32_t count = reader->Int(); count > 0; --count) {
    const int32_t value = reader->Int();
    probe.given[value] = ReadGiven(reader);
  }
  for (int32_t count = reader->Int(); count > 0; --count) {
    const auto [value, length] = std::pair{reader->Int(), reader->Int()};
    auto numbers = reader->Array<float>(length);
    probe.wanted.push_back({value, std::move(numbers), reader->Array<float>(length)});
  }
  return probe;
}

// "key=5" as 5, from the words of a line.
int64_t Setting(std::istringstream* words, const std::string& key) {
  std::string word;
  if (!(*words >> word) || word.compare(0, key.size() + 1, key + "=") != 0)
    throw std::runtime_error("recording.txt: expected " + key + "=…, found '" + word + "'");
  return std::stoll(word.substr(key.size() + 1));
}

std::string ReadWord(std::istringstream* words) {
  std::string word;
  *words >> word;
  return word;
}

// "[2,3]" as its dimensions.
std::vector<int64_t> ParseShape(const std::string& text) {
  if (text.empty() || text.front() != '[')
    throw std::runtime_error("recording.txt: expected a shape, found '" + text + "'");
  std::vector<int64_t> shape;
  std::istringstream dimensions(text.substr(1));
  for (std::string part; std::getline(dimensions, part, ',');) shape.push_back(std::stoll(part));
  return shape;
}

// "made NAME TYPE [2,3] SEED DEVIATION OUTLIER"
void ReadMadeTensor(std::istringstream* words, std::map<std::string, MadeTensor>* made) {
  std::string name, type, shape;
  MadeTensor tensor;
  MadeNumbers& numbers = tensor.numbers;
  if (!(*words >> name >> type >> shape >> numbers.seed >> numbers.deviation >> numbers.outlier))
    throw std::runtime_error("recording.txt: expected a tensor's name, type, shape, and its seed");
  tensor.shape = ParseShape(shape);
  numbers.type = ParseType(type);
  numbers.count = 1;
  for (const int64_t size : tensor.shape) numbers.count *= static_cast<size_t>(size);
  made->emplace(name, std::move(tensor));
}

// "tensor NAME TYPE [2,3] OFFSET LENGTH FILE", the file relative to the recording.
FileTensor ReadTensor(std::istringstream* words, const fs::path& folder) {
  FileTensor tensor;
  std::string type, shape, file;
  if (!(*words >> tensor.name >> type >> shape >> tensor.data.offset >> tensor.data.length) ||
      !std::getline(*words >> std::ws, file))
    throw std::runtime_error("recording.txt: expected a tensor's name, type, shape, range, file");
  tensor.type = ParseType(type);
  tensor.shape = ParseShape(shape);
  tensor.data.file = (folder / fs::u8path(file)).u8string();
  return tensor;
}

void ReadHeader(const fs::path& folder, Recording* recording) {
  std::istringstream file(ReadAll(folder / "recording.txt"));
  std::string line;
  if (!std::getline(file, line) || line != "octavo-recording 1")
    throw std::runtime_error("recording.txt: expected 'octavo-recording 1', found '" + line + "'");
  while (std::getline(file, line)) {
    std::istringstream words(line);
    std::string kind;
    words >> kind;
    if (kind == "pool") {
      recording->pool.block_size = static_cast<int>(Setting(&words, "blockSize"));
      recording->pool.device_blocks = static_cast<int>(Setting(&words, "numBlocks"));
      recording->pool.host_blocks = static_cast<int>(Setting(&words, "hostBlocks"));
    } else if (kind == "dummy") {
      recording->dummy = true;
      recording->seed = Setting(&words, "seed");
    } else if (kind == "tensor") {
      recording->tensors.push_back(ReadTensor(&words, folder));
    } else if (kind == "made") {
      ReadMadeTensor(&words, &recording->made);
    } else if (kind == "adapter") {
      recording->adapters.push_back(ReadAll(folder / ReadWord(&words)));
    } else {
      throw std::runtime_error(
          "recording.txt: expected pool, dummy, tensor, made or adapter, found '" + line + "'");
    }
  }
}

// Those of files, and those that are made.
class RecordedTensors : public TensorSource {
 public:
  explicit RecordedTensors(const Recording& recording)
      : files_(recording.tensors), made_(Make(recording.made)) {}

  TensorView Get(const Weight& weight, const WeightSource& source) override {
    if (elements_.count(source.name) != 0) return made_.Get(weight, source);
    return files_.Get(weight, source);
  }
  void Release() override {
    files_.Release();
    made_.Release();
  }

 private:
  std::map<std::string, TensorView> Make(const std::map<std::string, MadeTensor>& tensors) {
    std::map<std::string, TensorView> views;
    for (const auto& [name, tensor] : tensors) {
      elements_[name] = tensor.numbers.MakeElements();
      views[name] = {elements_[name].data(), tensor.numbers.type, tensor.shape};
    }
    return views;
  }

  std::map<std::string, std::vector<uint8_t>> elements_;
  FileTensors files_;
  MemoryTensors made_;
};

}  // namespace

Recording Recording::Read(const std::string& folder) {
  const fs::path path = fs::u8path(folder);
  Recording recording;
  recording.plan = ReadAll(path / "plan.txt");
  ReadHeader(path, &recording);
  const std::string bytes = ReadAll(path / "events.bin");
  for (Reader reader(bytes); !reader.Done();) {
    const int32_t kind = reader.Int();
    if (kind == 0)
      recording.events.emplace_back(ReadStep(&reader));
    else if (kind == 1)
      recording.events.emplace_back(ReadCopies(&reader));
    else if (kind == 2)
      recording.probes.push_back(ReadProbe(&reader));
    else if (kind == 3)
      recording.events.emplace_back(ReadAdapter(&reader, recording.adapters.size()));
    else
      throw std::runtime_error("events.bin: unknown event " + std::to_string(kind));
  }
  return recording;
}

std::unique_ptr<TensorSource> Recording::OpenTensors() const {
  if (dummy) return std::make_unique<DummyTensors>(static_cast<uint64_t>(seed));
  return std::make_unique<RecordedTensors>(*this);
}

}  // namespace octavo
