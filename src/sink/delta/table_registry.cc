#include "sink/delta/table_registry.h"

#include <utility>
#include <vector>

#include "base/error.h"

namespace arrowport::sink {

arrow::Result<std::shared_ptr<OpenTable>> TableRegistry::Find(
    const schema::TableName& name, IfMissing if_missing) {
  std::shared_ptr<Slot> slot;
  int64_t use = 0;
  {
    MutexLock lock(mutex_);
    if (slots_.size() >= options_.tables_max && !slots_.contains(name)) CloseIdle();
    auto& found = slots_[name];
    if (!found) found = std::make_shared<Slot>();
    slot = found;
    use = ++uses_;
  }
  MutexLock lock(slot->mutex);
  if (!slot->table) {
    auto folder =
        OpenTableFolder(options_.root, name, options_.durability, if_missing);
    if (!folder.ok()) {
      const bool missing = CodeOf(folder.status()) == ErrorCode::kTableNotFound;
      if (missing && if_missing == IfMissing::kRefuse) return nullptr;
      return folder.status();
    }
    auto opened =
        delta::DeltaTable::Open(*std::move(folder), environment_, options_.table);
    if (!opened.ok()) return WithContext("table " + name.ToString(), opened.status());
    slot->table =
        std::make_shared<OpenTable>(name, *std::move(opened), options_.new_tables);
  }
  slot->table->used_at = use;
  return slot->table;
}

void TableRegistry::CloseIdle() {
  auto oldest = slots_.end();
  int64_t oldest_use = 0;
  for (auto at = slots_.begin(); at != slots_.end();) {
    Slot& slot = *at->second;
    bool open = true, idle = false;
    int64_t use = 0;
    if (at->second.use_count() == 1) {  // nobody is opening it
      MutexLock lock(slot.mutex);
      open = slot.table != nullptr;
      idle = open && slot.table.use_count() == 1;
      if (open) use = slot.table->used_at;
    }
    if (!open) {
      at = slots_.erase(at);
      continue;
    }
    if (idle && (oldest == slots_.end() || use < oldest_use)) {
      oldest = at;
      oldest_use = use;
    }
    ++at;
  }
  if (oldest != slots_.end()) slots_.erase(oldest);
}

void TableRegistry::Forget(const OpenTable& table) {
  std::shared_ptr<Slot> slot;
  {
    MutexLock lock(mutex_);
    auto found = slots_.find(table.name());
    if (found == slots_.end()) return;
    slot = found->second;
  }
  MutexLock lock(slot->mutex);
  if (slot->table.get() == &table) slot->table.reset();
}

void TableRegistry::VisitOpen(const std::function<void(OpenTable&)>& visit) {
  std::vector<std::shared_ptr<Slot>> slots;
  {
    MutexLock lock(mutex_);
    for (const auto& [name, slot] : slots_) slots.push_back(slot);
  }
  for (const auto& slot : slots) {
    std::shared_ptr<OpenTable> table;
    {
      MutexLock lock(slot->mutex);
      table = slot->table;
    }
    if (table) visit(*table);
  }
}

}  // namespace arrowport::sink
