package telemetry

import (
	"maps"
	"slices"
	"strings"
	"sync"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	"go.temporal.io/sdk/client"

	"github.com/reelflow/reelflow/video"
)

// Temporal takes what Temporal's SDK counts
// (https://docs.temporal.io/references/sdk-metrics); give it to client.Options.
func (m *Metrics) Temporal() client.MetricsHandler { return taggedMetrics{m.temporal, nil} }

// maxSeries bounds what the SDK can make us keep, should a release of it invent tags; ours has
// some hundreds. What comes after them is counted in reelflow_series_dropped_total.
const maxSeries = 5000

// temporalMetrics are the series of the SDK. One metric of it has different tags in
// different places, which Prometheus takes but vectors don't: hence this collector. It
// describes nothing beforehand, as prometheus.Collector allows.
type temporalMetrics struct {
	mu      sync.Mutex
	series  map[string]*series
	dropped float64
}

func newTemporalMetrics() *temporalMetrics { return &temporalMetrics{series: map[string]*series{}} }

// series is one metric with its tags. Its value is guarded by the mutex of all.
type series struct {
	desc    *prometheus.Desc
	kind    prometheus.ValueType
	timer   bool
	value   float64 // of a timer, the sum in seconds
	count   uint64  // of a timer
	buckets []uint64
}

const (
	counterKind = iota
	gaugeKind
	timerKind
)

// at returns a series, which is made where it is missing; nil when there are too many.
func (t *temporalMetrics) at(name string, kind int, tags map[string]string) *series {
	name += map[int]string{counterKind: "_total", timerKind: "_seconds"}[kind]
	var key strings.Builder
	key.WriteString(name)
	for _, tag := range slices.Sorted(maps.Keys(tags)) {
		key.WriteString("\x00" + tag + "\x00" + tags[tag])
	}
	t.mu.Lock()
	defer t.mu.Unlock()
	if found := t.series[key.String()]; found != nil {
		return found
	}
	if len(t.series) >= maxSeries {
		t.dropped++
		return nil
	}
	s := &series{desc: prometheus.NewDesc(name, "See https://docs.temporal.io/references/sdk-metrics.", nil, tags), kind: prometheus.CounterValue}
	switch kind {
	case gaugeKind:
		s.kind = prometheus.GaugeValue
	case timerKind:
		s.timer, s.buckets = true, make([]uint64, len(long))
	}
	t.series[key.String()] = s
	return s
}

// change changes a series under the mutex. Nil stands for one that isn't kept.
func (t *temporalMetrics) change(s *series, change func(*series)) {
	if s == nil {
		return
	}
	t.mu.Lock()
	defer t.mu.Unlock()
	change(s)
}

// Describe implements prometheus.Collector.
func (t *temporalMetrics) Describe(chan<- *prometheus.Desc) {}

var droppedDesc = prometheus.NewDesc("reelflow_series_dropped_total", "Lookups of series of Temporal's SDK that were one too many to be kept.", nil, nil)

// Collect implements prometheus.Collector.
func (t *temporalMetrics) Collect(into chan<- prometheus.Metric) {
	t.mu.Lock()
	defer t.mu.Unlock()
	into <- prometheus.MustNewConstMetric(droppedDesc, prometheus.CounterValue, t.dropped)
	for _, s := range t.series {
		if !s.timer {
			into <- prometheus.MustNewConstMetric(s.desc, s.kind, s.value)
			continue
		}
		buckets := make(map[float64]uint64, len(long))
		for i, bound := range long {
			buckets[bound] = s.buckets[i]
		}
		into <- prometheus.MustNewConstHistogram(s.desc, s.count, s.value, buckets)
	}
}

// observe adds a duration to a timer, whose buckets are cumulative.
func (s *series) observe(d time.Duration) {
	s.count++
	s.value += d.Seconds()
	for i, bound := range long {
		if d.Seconds() <= bound {
			s.buckets[i]++
		}
	}
}

// taggedMetrics implements client.MetricsHandler.
type taggedMetrics struct {
	all  *temporalMetrics
	tags map[string]string
}

// WithTags implements client.MetricsHandler.
func (h taggedMetrics) WithTags(tags map[string]string) client.MetricsHandler {
	merged := maps.Clone(h.tags)
	if merged == nil {
		merged = map[string]string{}
	}
	for name, value := range tags {
		merged[strings.ReplaceAll(name, "-", "_")] = bounded(name, value)
	}
	return taggedMetrics{h.all, merged}
}

// bounded keeps the value of a tag that takes few. Queues that the SDK makes for one
// process alone carry its name, and whoever starts a workflow may call it what they like.
func bounded(tag, value string) string {
	ours := map[string][]string{
		"task_queue":    {video.ControlQueue, video.TransferQueue, video.MediaQueue},
		"workflow_type": {video.LifecycleWorkflow, video.AuditWorkflow},
	}[tag]
	if ours == nil || value == "none" || slices.Contains(ours, value) {
		return value
	}
	return other
}

// Counter implements client.MetricsHandler.
func (h taggedMetrics) Counter(name string) client.MetricsCounter {
	s := h.all.at(name, counterKind, h.tags)
	return counter(func(n int64) { h.all.change(s, func(s *series) { s.value += float64(n) }) })
}

// Gauge implements client.MetricsHandler.
func (h taggedMetrics) Gauge(name string) client.MetricsGauge {
	s := h.all.at(name, gaugeKind, h.tags)
	return gauge(func(value float64) { h.all.change(s, func(s *series) { s.value = value }) })
}

// Timer implements client.MetricsHandler.
func (h taggedMetrics) Timer(name string) client.MetricsTimer {
	s := h.all.at(name, timerKind, h.tags)
	return timer(func(d time.Duration) { h.all.change(s, func(s *series) { s.observe(d) }) })
}

type (
	counter func(int64)
	gauge   func(float64)
	timer   func(time.Duration)
)

// Inc implements client.MetricsCounter.
func (c counter) Inc(n int64) { c(n) }

// Update implements client.MetricsGauge.
func (g gauge) Update(value float64) { g(value) }

// Record implements client.MetricsTimer.
func (t timer) Record(d time.Duration) { t(d) }
