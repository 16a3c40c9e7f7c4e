#include "runtime/engine/page_reader.h"

#include <algorithm>
#include <utility>

#include "runtime/engine/elapsed.h"

namespace espalier::runtime {

PageReader::PageReader(PageStore& store, std::uint64_t page_bytes, System& system)
    : store_(store),
      page_bytes_(page_bytes),
      system_(system),
      held_(std::make_shared<std::atomic<std::uint64_t>>(0)),
      thread_([this] { run(); }) {}

PageReader::~PageReader() {
  {
    const std::lock_guard lock(mutex_);
    stop_ = true;
  }
  changed_.notify_all();
  thread_.join();
}

std::shared_ptr<PageRead> PageReader::read(std::vector<TokenId> path, std::size_t first,
                                           std::vector<PageStore::Name> names) {
  std::erase_if(asked_, [](const auto& read) { return read.expired(); });
  for (const auto& asked : asked_) {
    std::shared_ptr<PageRead> read = asked.lock();
    if (read &&
        std::find(read->names.begin(), read->names.end(), names.front()) != read->names.end()) {
      return read;
    }
  }
  const std::uint64_t held = held_->load(std::memory_order_relaxed);
  const std::uint64_t most = held < kMostHeld ? (kMostHeld - held) / page_bytes_ : 0;
  if (most == 0) return nullptr;
  if (names.size() > most) names.resize(most);
  path.resize((first + names.size()) * PageStore::kTokens);
  const std::uint64_t bytes = names.size() * page_bytes_;
  held_->fetch_add(bytes, std::memory_order_relaxed);
  const std::shared_ptr<PageRead> read(new PageRead, [held = held_, bytes](PageRead* gone) {
    held->fetch_sub(bytes, std::memory_order_relaxed);
    delete gone;
  });
  read->path = std::move(path);
  read->first = first;
  read->names = std::move(names);
  asked_.push_back(read);
  {
    const std::lock_guard lock(mutex_);
    queue_.push_back(read);
  }
  changed_.notify_all();
  return read;
}

void PageReader::run() {
  std::unique_lock lock(mutex_);
  for (;;) {
    changed_.wait(lock, [&] { return stop_ || !queue_.empty(); });
    if (stop_) return;
    const std::shared_ptr<PageRead> read = std::move(queue_.front());
    queue_.pop_front();
    lock.unlock();
    const auto start = system_.now();
    for (const PageStore::Name& name : read->names) {
      if (stop_ || read.use_count() == 1) break;
      const std::size_t page = read->first + read->pages.size();
      const PageStore::Tokens tokens(read->path.data() + page * PageStore::kTokens,
                                     PageStore::kTokens);
      std::vector<std::byte> bytes(page_bytes_);
      if (!store_.read(name, tokens, bytes)) break;
      read->pages.push_back(std::move(bytes));
    }
    read->seconds = elapsed(system_, start);
    read->done.store(true, std::memory_order_release);
    lock.lock();
  }
}

}  // namespace espalier::runtime
