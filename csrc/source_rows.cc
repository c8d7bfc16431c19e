#include "source_rows.h"

#include <cstring>
#include <stdexcept>

#include "decoders/selected_rows.h"

namespace octavo {
namespace {

void CheckShape(const std::string& name, const std::vector<int64_t>& found, const Weight& weight,
                const WeightSource& source) {
  const std::vector<int64_t> wanted = WantedShape(weight, source);
  if (found != wanted)
    throw std::runtime_error("tensor '" + name + "' has shape " + ShapeText(found) +
                             ", the plan wants " + ShapeText(wanted));
}

// The first element of a row.
int64_t RowStart(const SourceView& view, int64_t row) {
  int64_t start = view.first;
  for (size_t i = view.loops.size(); i-- > 0; row /= view.loops[i].count)
    start += row % view.loops[i].count * view.loops[i].step;
  return start;
}

// Throws unless all elements of the view are inside the tensor.
void CheckView(const std::string& name, const TensorView& tensor, const SourceView& view,
               int64_t cols) {
  const int64_t count = tensor.Count();
  int64_t room = count - 1 - view.first;
  const auto take = [&room](int64_t times, int64_t step) {
    const bool fits = room >= 0 && (step == 0 || times <= room / step);
    room = fits ? room - times * step : -1;
  };
  for (const SourceView::Loop& loop : view.loops) take(loop.count - 1, loop.step);
  take(cols - 1, view.column_step);
  if (room < 0)
    throw std::runtime_error("tensor '" + name + "' of shape " + ShapeText(tensor.shape) +
                             " has not all elements that the plan takes of it");
}

// Whether a view takes whole rows of a tensor with so many columns.
bool TakesRows(const SourceView& view, int64_t weight_cols, int64_t cols) {
  bool whole = view.column_step == 1 && weight_cols == cols && view.first % cols == 0;
  for (const SourceView::Loop& loop : view.loops) whole = whole && loop.step % cols == 0;
  return whole;
}

// The same rows of a tensor that is stored in another form.
TensorView ChosenRows(const TensorView& tensor, const Weight& weight, const WeightSource& source,
                      const SourceView& view) {
  std::vector<int64_t> chosen;
  for (int64_t row = 0; row < source.rows; ++row)
    chosen.push_back(RowStart(view, row) / weight.cols);
  TensorView rows = tensor;
  rows.shape = WantedShape(weight, source);
  rows.rows = std::make_shared<SelectedRows>(tensor.rows, std::move(chosen));
  return rows;
}

// The numbers of those rows of such a tensor that a view reaches into, from the first on; `view`
// then counts from there.
TensorView DecodedRows(const TensorView& tensor, int64_t weight_cols, SourceView* view,
                       CopiedRows* copied) {
  const int64_t cols = tensor.rows->cols();
  int64_t last = view->first + (weight_cols - 1) * view->column_step;
  for (const SourceView::Loop& loop : view->loops) last += (loop.count - 1) * loop.step;
  const int64_t first_row = view->first / cols, rows = last / cols - first_row + 1;
  std::vector<uint8_t> numbers(static_cast<size_t>(rows * cols) * sizeof(float));
  for (int64_t row = 0; row < rows; ++row)
    tensor.rows->Numbers(first_row + row, reinterpret_cast<float*>(numbers.data()) + row * cols);
  copied->push_back(std::move(numbers));
  view->first -= first_row * cols;
  return {copied->back().data(), Type::kFloat32, {rows, cols}};
}

}  // namespace

std::string ShapeText(const std::vector<int64_t>& shape) {
  std::string text = "[";
  for (size_t i = 0; i < shape.size(); ++i) text += (i ? "," : "") + std::to_string(shape[i]);
  return text + "]";
}

std::vector<int64_t> WantedShape(const Weight& weight, const WeightSource& source) {
  if (weight.matrix) return {source.rows, weight.cols};
  return {source.rows};
}

SourceView InOrder(int64_t rows, int64_t cols, int64_t heads) {
  const int64_t head = rows / heads;
  SourceView view;
  view.loops = {{heads, head * cols}, {2, cols}, {head / 2, 2 * cols}};
  return view;
}

TensorView RowsOf(const TensorView& stored, const Weight& weight, const WeightSource& source,
                  SourceView view, CopiedRows* copied) {
  if (source.view.loops.empty()) CheckShape(source.name, stored.shape, weight, source);
  if (view.loops.empty()) return stored;
  CheckView(source.name, stored, view, weight.cols);
  TensorView tensor = stored;
  if (stored.rows != nullptr) {
    if (TakesRows(view, weight.cols, stored.rows->cols()))
      return ChosenRows(stored, weight, source, view);
    tensor = DecodedRows(stored, weight.cols, &view, copied);
  }
  const size_t size = SizeOf(tensor.type);
  const auto* data = static_cast<const uint8_t*>(tensor.data);
  TensorView rows{data + view.first * size, tensor.type, WantedShape(weight, source)};
  const bool together = view.loops.size() == 1 && view.loops[0].step == weight.cols &&
                        (view.column_step == 1 || weight.cols == 1);
  if (together) return rows;
  std::vector<uint8_t> copy(static_cast<size_t>(source.rows * weight.cols) * size);
  uint8_t* to = copy.data();
  for (int64_t row = 0; row < source.rows; ++row) {
    const uint8_t* from = data + RowStart(view, row) * size;
    for (int64_t c = 0; c < weight.cols; ++c, to += size)
      std::memcpy(to, from + c * view.column_step * size, size);
  }
  copied->push_back(std::move(copy));
  rows.data = copied->back().data();
  return rows;
}

}  // namespace octavo
