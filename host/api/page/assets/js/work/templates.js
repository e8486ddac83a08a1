// Manifests to begin with: text that says what each line is for. Must stay valid as it is, but for what a person has to fill in.

const notifier = (target) => `# Sends this host's alerts on: it takes the jobs of the queue "alerts". While it is paused or gone, no alert is made.

[[worker]]
name = "notifier"
title = "Sends alerts on"
component = "notifier.wasm"
jobs = { queue = "alerts" }
limits = { timeout = "1m" }             # shared by all targets

[worker.config]
# batch = "10s"                         # what comes within 10 s goes as one message; without it each goes by itself, at once
targets = [
${target}
]

[worker.grants]
http = { allow = ["config:targets.url"] }       # the targets of its own config, and nothing else
queue = { push = ["alerts"] }                   # for batches
`;

/** Where alerts may go, each with the manifest that sends them there. */
export const NOTIFIER = {
  ntfy: {
    title: "ntfy",
    text: "A push to your phone, through ntfy.sh or a server of your own. Install the app and subscribe to a topic that nobody guesses.",
    toml: notifier('    { kind = "ntfy", url = "https://ntfy.sh", topic = "CHANGE-ME-to-something-long-and-secret" },'),
  },
  slack: {
    title: "Slack and the like",
    text: "An incoming webhook of Slack or Mattermost; of Discord, with /slack added to its URL.",
    toml: notifier('    { kind = "slack", url = "https://hooks.slack.com/services/CHANGE/ME" },'),
  },
  webhook: {
    title: "A webhook",
    text: "A POST with JSON to any URL. The flip's id goes along as Idempotency-Key, so that a repeated one can be told.",
    toml: notifier(`    # Without a template the body is the alert as JSON.
    { kind = "webhook", url = "https://example.com/CHANGE-ME", template = '{"text": "{{summary}}", "at": "{{at}}"}' },`),
  },
};

export const WORKER = `# A worker: what runs, when, and what it may do. Save it, and it runs; take a table out, and its worker ends.
# Unknown fields are errors, so that a typo changes nothing.

[[worker]]
name = "my-worker"                      # its id: a-z, 0-9 and -, once in all files
title = "My worker"                     # for people; title, notes and group change without a restart
component = "poller.wasm"               # from the plugins folder
schedule = { every = "30s" }            # or { cron = "*/5 * * * *", timezone = "Europe/Berlin" }
# jobs = { queue = "work", concurrency = 4 }             # for each job of a queue
# http = { routes = ["/hello"], methods = ["GET"] }      # for each request to a path
# topics = ["chat.*"]                                    # for each message on a topic
# limits = { memory = "64MiB", timeout = "10s" }
# restart = { policy = "permanent", intensity = 3, period = "5s" }
checks = { confirm = 3, recover = 2 }   # bad results in a row until it counts as down, good ones until it is up again

# What the component is told. It is the component's own business what stands here.
[worker.config]
urls = ["https://example.com/"]

# Nothing is granted by default. This lets it request the URLs of its own config, and nothing else.
[worker.grants]
http = { allow = ["config:urls"] }
`;

const PARTS = {
  worker: { title: "A worker", file: "my-worker.toml", toml: WORKER },
  limiter: {
    title: "A limiter and a queue",
    file: "limits.toml",
    toml: `# A limiter paces every worker and queue that names it.
[[limiter]]
name = "my-limiter"
rate = "6/s"                            # or 600/m, 1/2s; may be changed while it runs
# burst = 1                             # permits at once after a pause

# Queues need no declaration; one that is declared may wait for a limiter and has limits of its own.
[[queue]]
name = "my-queue"
limiter = "my-limiter"
max_attempts = 5                        # then a job is dead
backoff = "1s"                          # before the second attempt, doubled each time
result_ttl = "1h"                       # how long a finished job is kept
`,
  },
};

/** id → { title, file, toml } of all there is to begin with. */
export const TEMPLATES = {
  ...PARTS,
  ...Object.fromEntries(Object.entries(NOTIFIER).map(([id, { title, toml }]) => [`notifier-${id}`, { title: `Alerts by ${title}`, file: "notifier.toml", toml }])),
};
