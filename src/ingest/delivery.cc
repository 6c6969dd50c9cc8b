#include "ingest/delivery.h"

#include <utility>

namespace arrowport::ingest {

void Delivery::Drain() {
  delivering_ = true;
  deliverer_ = std::this_thread::get_id();
  while (!events_.empty() && observer_) {
    Event event = std::move(events_.front());
    events_.pop_front();
    std::shared_ptr<SessionObserver> observer = observer_;
    mutex_.Unlock();
    event(*observer);
    observer.reset();
    mutex_.Lock();
  }
  events_.clear();
  delivering_ = false;
  // The observer usually owns the session: letting go ends the circle.
  std::shared_ptr<SessionObserver> finished;
  if (ended_) finished = std::move(observer_);
  idle_.notify_all();
  mutex_.Unlock();
  finished.reset();
  mutex_.Lock();
}

void Delivery::Give(Event event) {
  MutexLock lock(mutex_);
  if (!observer_ || ended_) return;
  events_.push_back(std::move(event));
  if (!delivering_) Drain();
}

void Delivery::Ready() {
  Give([](SessionObserver& observer) { observer.OnReady(); });
}

void Delivery::Acknowledge(Ack ack) {
  Give([ack = std::move(ack)](SessionObserver& observer) { observer.OnAck(ack); });
}

void Delivery::Done(arrow::Result<Receipt> result) {
  MutexLock lock(mutex_);
  if (!observer_ || ended_) return;
  ended_ = true;
  events_.push_back([result = std::move(result)](SessionObserver& observer) mutable {
    observer.OnDone(std::move(result));
  });
  if (!delivering_) Drain();
}

void Delivery::Close() {
  std::shared_ptr<SessionObserver> closed;
  MutexLock lock(mutex_);
  closed = std::move(observer_);
  observer_ = nullptr;
  while (delivering_ && deliverer_ != std::this_thread::get_id()) lock.Wait(idle_);
  lock.Unlock();
  closed.reset();
  lock.Lock();
}

}  // namespace arrowport::ingest
