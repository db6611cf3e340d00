# What programs do with beanstalkd from Ruby, with Debian's ruby-beaneater.

require "beaneater"

def check(what, wanted, got)
  return if wanted == got
  puts "#{what}: #{got.inspect} instead of #{wanted.inspect}"
  exit 1
end

beanstalk = Beaneater.new("127.0.0.1:11300")
tube = beanstalk.tubes["mail"]

put = tube.put("hello", pri: 5, ttr: 60)
check("put", "INSERTED", put[:status])
tube.put("urgent", pri: 1)
tube.put("later", delay: 1000)
check("ready", 2, tube.stats.current_jobs_ready)
check("delayed", 1, tube.stats.current_jobs_delayed)
check("the first", "urgent", tube.peek(:ready).body)
check("a delayed one", "later", tube.peek(:delayed).body)
check("no buried one", nil, tube.peek(:buried))

beanstalk.tubes.watch!("mail")
job = beanstalk.tubes.reserve
check("reserve", "urgent", job.body)
check("its state", "reserved", job.stats.state)
check("its tube", "mail", job.tube)
check("its priority", 1, job.pri)
job.touch
job.release(pri: 9)
job = beanstalk.tubes.reserve(0)
check("the next", "hello", job.body)
job.bury
check("buried", 1, tube.stats.current_jobs_buried)
check("kick", "KICKED", tube.kick(1)[:status])
job = beanstalk.tubes.reserve(0)
check("kicked", "hello", job.body)
job.delete
check("deleted", nil, beanstalk.jobs.find(job.id))

begin
  beanstalk.tubes.watch!("empty")
  beanstalk.tubes.reserve(0)
  check("reserve of nothing", "TIMED_OUT", "a job")
rescue Beaneater::TimedOutError
  # as it should be
end

begin
  beanstalk.connection.transmit("delete #{job.id}")
  check("delete of nothing", "NOT_FOUND", "DELETED")
rescue Beaneater::NotFoundError
  # as it should be
end

tube.pause(1000)
check("paused", true, tube.stats.pause_time_left > 900)
tube.pause(0)
check("all tubes", true, beanstalk.tubes.all.map(&:name).include?("mail"))
check("version", true, !beanstalk.stats.version.to_s.empty?)
tube.clear
check("cleared", 0, tube.stats.current_jobs_ready + tube.stats.current_jobs_delayed)
beanstalk.close
