package main

import (
	"math"
	"time"
)

// This file lists the options of what a worker tells of itself.

func healthOptions() []option {
	return []option{
		{
			name: "health-error-rate", env: []string{"HEALTH_ERROR_RATE"}, value: "5%",
			usage: "`SHARE` of the events of five minutes that may not be acknowledged at once before health is degraded; 0 for any",
			set:   share(func(s *settings) *float64 { return &s.Limits.errorRate }),
		},
		{
			name: "health-ack-p99", env: []string{"HEALTH_ACK_P99"}, value: "1s",
			usage: "`TIME` that 99 % of the acknowledgements of five minutes may take; 0 for any",
			set:   duration(0, time.Hour, func(s *settings) *time.Duration { return &s.Limits.ackP99 }),
		},
		{
			name: "health-dead-letters", env: []string{"HEALTH_DEAD_LETTERS"}, value: "100",
			usage: "`N` dead letters that an hour may bring; 0 for any",
			set:   count(0, math.MaxInt32, func(s *settings) *int { return &s.Limits.deadLetters }),
		},
		{
			name: "health-memory", env: []string{"HEALTH_MEMORY"}, value: "80%",
			usage: "`SHARE` of the memory limit (GOMEMLIMIT, else the container's) that may be in use; 0 for any",
			set:   share(func(s *settings) *float64 { return &s.Limits.memory }),
		},
		{
			name: "alert-webhook-url", env: []string{"ALERT_WEBHOOK_URL"}, secret: true,
			usage: "`URL` that gets a POST when health changes; other users of the machine can see it as a flag", set: setWebhook,
		},
	}
}
