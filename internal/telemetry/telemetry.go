// Package telemetry counts what a process does, and shows it to Prometheus.
//
// Each process has one [Metrics]. It lives in memory and ends with the process: counters
// begin at zero again, as Prometheus expects. It holds
//
//   - what Temporal's SDK counts, under the names that the SDK documents with the suffixes
//     _total and _seconds (temporal_request_latency_seconds);
//   - what this process does (reelflow_store_…, reelflow_vault_…, reelflow_http_…,
//     reelflow_ffmpeg_…, reelflow_lease_beat_…);
//   - what the catalog and Temporal know of all videos (reelflow_videos, reelflow_queue_…),
//     asked when somebody collects, and then not again for some seconds;
//   - what the Go runtime and the operating system know of the process (go_…, process_…).
//
// No label ever holds an id, a title, an owner, an address or a token: labels take their
// values from lists that are fixed when the program is written or started, and what isn't on the
// list is "other". So the number of series is bounded, whatever strangers send.
package telemetry

import (
	"net/http"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/client_golang/prometheus/collectors"
	"github.com/prometheus/client_golang/prometheus/promhttp"

	"github.com/reelflow/reelflow/internal/media"
	"github.com/reelflow/reelflow/video"
)

// Metrics is everything that one process counts. Its methods may be called from many
// goroutines. Those that observe something do nothing on nil, so that parts can be run without.
type Metrics struct {
	registry *prometheus.Registry
	temporal *temporalMetrics

	requests    *prometheus.CounterVec
	requestTime *prometheus.HistogramVec
	answerBytes *prometheus.CounterVec
	segments    prometheus.Counter

	storeTime  *prometheus.HistogramVec
	storeBytes *prometheus.CounterVec
	vaultTime  *prometheus.HistogramVec

	beats    *prometheus.CounterVec
	beatTime prometheus.Histogram

	encodings  *prometheus.CounterVec
	mediaTime  *prometheus.CounterVec
	encodeTime *prometheus.CounterVec
}

// quick are the bounds, in seconds, of what should take milliseconds, and long those of work.
var (
	quick = []float64{.0005, .001, .0025, .005, .01, .025, .05, .1, .25, .5, 1, 2.5, 5, 10, 30}
	long  = []float64{.005, .01, .05, .1, .5, 1, 2, 5, 10, 30, 60, 300, 1800, 7200, 86400}
)

// New makes the metrics of a process. Version is that of the program.
func New(version string) *Metrics {
	m := &Metrics{registry: prometheus.NewRegistry(), temporal: newTemporalMetrics()}
	m.requests = counters("reelflow_http_requests_total", "Requests that were answered, by the pattern of their route.", "route", "method", "status")
	m.requestTime = histograms("reelflow_http_request_seconds", "How long requests took from their head to the end of their answer; streams of events and uploads are long.", quick, "route")
	m.answerBytes = counters("reelflow_http_answer_bytes_total", "Bytes of the bodies of answers.", "route")
	m.segments = prometheus.NewCounter(prometheus.CounterOpts{Name: "reelflow_segments_served_total", Help: "HLS segments that were served, whole or in part."})
	m.storeTime = histograms("reelflow_store_request_seconds", "How long calls of a store took, reading of what they return included; a purge is one call.", long, "store", "operation", "result")
	m.storeBytes = counters("reelflow_store_bytes_total", "Bytes written to and read from a store.", "store", "direction")
	m.vaultTime = histograms("reelflow_vault_request_seconds", "How long calls of the vault took.", quick, "operation", "result")
	m.beats = counters("reelflow_lease_beats_total", "Renewals of the leases of uploads, all of a process at once.", "result")
	m.beatTime = prometheus.NewHistogram(prometheus.HistogramOpts{Name: "reelflow_lease_beat_seconds", Help: "How long those renewals took; a lease lasts four seconds.", Buckets: quick})
	m.encodings = counters("reelflow_ffmpeg_runs_total", "Pieces, sounds and packages that ffmpeg was asked for.", "work", "result")
	m.mediaTime = counters("reelflow_ffmpeg_media_seconds_total", "Seconds of video or sound that ffmpeg has made something of.", "work")
	m.encodeTime = counters("reelflow_ffmpeg_seconds_total", "Seconds that this took.", "work")
	build := prometheus.NewGauge(prometheus.GaugeOpts{Name: "reelflow_build_info", Help: "1; the version is a label.", ConstLabels: prometheus.Labels{"version": version}})
	build.Set(1)
	m.registry.MustRegister(
		collectors.NewGoCollector(), collectors.NewProcessCollector(collectors.ProcessCollectorOpts{}), m.temporal, build,
		m.requests, m.requestTime, m.answerBytes, m.segments, m.storeTime, m.storeBytes, m.vaultTime, m.beats, m.beatTime,
		m.encodings, m.mediaTime, m.encodeTime)
	// What may first be counted after hours is there from the beginning: a rate needs a zero to begin at.
	for _, how := range []string{"ok", string(video.Unavailable)} {
		m.beats.WithLabelValues(how)
		for _, work := range []string{"encode", "audio", "package"} {
			m.encodings.WithLabelValues(work, how)
		}
	}
	return m
}

func counters(name, help string, labels ...string) *prometheus.CounterVec {
	return prometheus.NewCounterVec(prometheus.CounterOpts{Name: name, Help: help}, labels)
}

func histograms(name, help string, buckets []float64, labels ...string) *prometheus.HistogramVec {
	return prometheus.NewHistogramVec(prometheus.HistogramOpts{Name: name, Help: help, Buckets: buckets}, labels)
}

// collections bounds how many are under way at once: whoever collects waits for databases.
const (
	collections    = 4
	collectTimeout = 10 * time.Second
)

// Handler answers in Prometheus' text format
// (https://prometheus.io/docs/instrumenting/exposition_formats). What can't be
// found out at the moment is left out, and the rest is answered.
func (m *Metrics) Handler() http.Handler {
	return promhttp.HandlerFor(m.registry, promhttp.HandlerOpts{
		MaxRequestsInFlight: collections, Timeout: collectTimeout, ErrorHandling: promhttp.ContinueOnError,
	})
}

// segmentRoute is the pattern under which segments are served.
const segmentRoute = "GET /media/{id}/{rendition}/{name}"

// Request counts an answered request of the gateway. Route is the pattern that it matched,
// empty for none.
func (m *Metrics) Request(route, method string, status int, bytes int64, took time.Duration) {
	if m == nil {
		return
	}
	if route == "" {
		route = "none"
	}
	m.requests.WithLabelValues(route, methodLabel(method), statusLabel(status)).Inc()
	m.requestTime.WithLabelValues(route).Observe(took.Seconds())
	m.answerBytes.WithLabelValues(route).Add(float64(bytes))
	if route == segmentRoute && (status == http.StatusOK || status == http.StatusPartialContent) && method == http.MethodGet {
		m.segments.Inc()
	}
}

// methodLabel bounds what a stranger may call a method.
func methodLabel(method string) string {
	switch method {
	case http.MethodGet, http.MethodHead, http.MethodPost, http.MethodPut, http.MethodPatch, http.MethodDelete, http.MethodOptions:
		return method
	}
	return other
}

// statusLabel is a status, "none" where an answer was never begun.
func statusLabel(status int) string {
	if text := http.StatusText(status); text == "" && status != statusChecksum {
		return "none"
	}
	return decimal(status)
}

// statusChecksum is tus's own: the checksum of a stretch doesn't match (tus 1.0, checksum).
const statusChecksum = 460

// Beat counts a renewal of the leases of uploads.
func (m *Metrics) Beat(took time.Duration, err error) {
	if m == nil {
		return
	}
	m.beats.WithLabelValues(result(err)).Inc()
	m.beatTime.Observe(took.Seconds())
}

// Worked counts a run of ffmpeg over so much of a video. It has the form of media.Tools.Worked.
func (m *Metrics) Worked(w media.Work) {
	if m == nil {
		return
	}
	m.encodings.WithLabelValues(w.Kind, result(w.Err)).Inc()
	if w.Err == nil {
		m.mediaTime.WithLabelValues(w.Kind).Add(w.Media.Seconds())
		m.encodeTime.WithLabelValues(w.Kind).Add(w.Took.Seconds())
	}
}
