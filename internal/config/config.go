// Package config holds the one Config that every reelflow program reads: flags
// and environment variables are one list (--http-addr is REELFLOW_HTTP_ADDR), a
// flag wins over the environment and the environment over the default. Any variable can
// be given as a file by its name with _FILE. A Config
// is made once, at the start of a program, and never changes. It is plain data
// and creates nothing; what lies below DataDir is made by the packages that own
// it. Temporal's own TEMPORAL_* variables stay with the SDK's envconfig.
package config

import (
	"path/filepath"
	"time"

	"github.com/reelflow/reelflow/video"
)

// Config is every setting there is. The help texts are its documentation; a
// default that would print a password has a placeholder.
type Config struct {
	HTTPAddr       string        `name:"http-addr" env:"REELFLOW_HTTP_ADDR" default:"127.0.0.1:8080" group:"Addresses" help:"Where the gateway listens."`
	URL            string        `name:"url" env:"REELFLOW_URL" default:"http://127.0.0.1:8080" group:"Addresses" help:"The gateway, as the command line reaches it."`
	PublicURL      string        `name:"public-url" env:"REELFLOW_PUBLIC_URL" placeholder:"URL" group:"Addresses" help:"How people reach the gateway, as https://reels.example, without a path; by what a trusted proxy says, or the name that each request came under, where it is not set. An issuer needs it. Workers ask there whether what is erased is gone."`
	TrustedProxies string        `name:"trusted-proxies" env:"REELFLOW_TRUSTED_PROXIES" placeholder:"NETWORK,…" group:"Addresses" help:"Networks of proxies whose X-Forwarded-For, -Host and -Proto (or Forwarded) are believed, as 10.0.0.0/8; they must overwrite what clients send of these."`
	Drain          time.Duration `name:"drain" env:"REELFLOW_DRAIN" default:"5s" group:"Addresses" help:"How long a gateway that is told to stop goes on serving while /readyz says 503."`
	TLSCertFile    string        `name:"tls-cert-file" env:"REELFLOW_TLS_CERT_FILE" placeholder:"FILE" group:"Addresses" help:"Certificate chain (PEM) with which the gateway ends TLS itself, and speaks HTTP/2; read again when it changes."`
	TLSKeyFile     string        `name:"tls-key-file" env:"REELFLOW_TLS_KEY_FILE" placeholder:"FILE" group:"Addresses" help:"Its private key (PEM)."`
	HealthAddr     string        `name:"health-addr" env:"REELFLOW_HEALTH_ADDR" placeholder:"ADDRESS" group:"Addresses" help:"Where a worker or gateway answers /healthz, /readyz and /metrics, for machines inside: nobody is asked who they are. A worker has none of them without it."`
	UIAddr         string        `name:"ui-addr" env:"REELFLOW_UI_ADDR" default:"127.0.0.1:8233" group:"Addresses" help:"Where make run shows Temporal's UI."`
	Token          Secret        `name:"token" env:"REELFLOW_TOKEN" default:"dev:me" placeholder:"TOKEN" group:"Addresses" help:"Who the command line is: a bearer token; dev:me by default."`
	DataDir        string        `name:"data-dir" env:"REELFLOW_DATA_DIR" default:".reelflow" group:"Addresses" help:"Everything that the laptop stack keeps."`
	Scratch        string        `name:"scratch" env:"REELFLOW_SCRATCH" placeholder:"DIR" group:"Addresses" help:"Where media work is done, in memory: /dev/shm if there is one, else the system's temporary directory."`
	DatabaseURL    Address       `name:"database-url" env:"REELFLOW_DATABASE_URL" placeholder:"URL" group:"Addresses" help:"The catalog: sqlite://FILE or postgres://…; catalog.db in the data directory by default."`
	Vault          Address       `name:"vault" env:"REELFLOW_VAULT" placeholder:"URL" group:"Addresses" help:"Home of the keys of videos: a folder, file:///FOLDER, or postgres://… for many hosts, on a server of its own; vault in the data directory by default."`
	VaultRoot      Address       `name:"vault-root" env:"REELFLOW_VAULT_ROOT" placeholder:"URL" group:"Addresses" help:"Home of the one key that must be forgotten, for a vault at postgres://…: another postgres://… or file:///FILE; beside the vault by default."`
	RootRotation   time.Duration `name:"root-rotation" env:"REELFLOW_ROOT_ROTATION" default:"24h" group:"Addresses" help:"After this long at most a PostgreSQL server holds nothing any more that opens a destroyed key."`

	Primary Address   `name:"primary" env:"REELFLOW_PRIMARY" default:"s3://reelflow:reelflow-local@127.0.0.1:9001/reelflow?region=us-east-1&tls=false&name=primary" placeholder:"URL" group:"Stores" help:"The primary store: s3://[KEY:SECRET@]HOST[:PORT]/BUCKET?region=…&tls=…&name=…. Without credentials the AWS SDK's default chain serves."`
	Backups Addresses `name:"backups" env:"REELFLOW_BACKUPS" default:"s3://reelflow:reelflow-local@127.0.0.1:9002/reelflow?region=us-east-1&tls=false&name=backup-a,s3://reelflow:reelflow-local@127.0.0.1:9003/reelflow?region=us-east-1&tls=false&name=backup-b" placeholder:"URL,…" group:"Stores" help:"The backup stores, comma separated."`

	DeleteGrace  time.Duration `name:"delete-grace" env:"REELFLOW_DELETE_GRACE" default:"168h" group:"Lives" help:"From hidden to the purge."`
	OverdueAfter time.Duration `name:"overdue-after" env:"REELFLOW_OVERDUE_AFTER" default:"168h" group:"Lives" help:"A purge that takes longer than this after the end of the grace is reported."`
	CancelGrace  time.Duration `name:"cancel-grace" env:"REELFLOW_CANCEL_GRACE" default:"0s" group:"Lives" help:"How long operators can restore a canceled video."`
	DraftTTL     time.Duration `name:"draft-ttl" env:"REELFLOW_DRAFT_TTL" default:"168h" group:"Lives" help:"How long a draft is kept."`
	RejectedTTL  time.Duration `name:"rejected-ttl" env:"REELFLOW_REJECTED_TTL" default:"24h" group:"Lives" help:"How long an author can read why a video was rejected."`
	UploadStall  time.Duration `name:"upload-stall" env:"REELFLOW_UPLOAD_STALL" default:"60s" group:"Lives" help:"Without a byte for this long an upload is said to be stalled."`
	UploadIdle   time.Duration `name:"upload-idle" env:"REELFLOW_UPLOAD_IDLE" default:"24h" group:"Lives" help:"Without a byte for this long an upload expires."`
	PublishDelay time.Duration `name:"publish-delay" env:"REELFLOW_PUBLISH_DELAY" default:"0s" group:"Lives" help:"Least time between upload and publication."`
	AuditEvery   time.Duration `name:"audit-every" env:"REELFLOW_AUDIT_EVERY" default:"1h" group:"Lives" help:"How often the audit looks for what was left behind; at least 1s."`
	AuditSettle  time.Duration `name:"audit-settle" env:"REELFLOW_AUDIT_SETTLE" default:"30s" group:"Lives" help:"How long after its birth a video may be without a workflow before the audit asks why."`

	MaxBytes    int64         `name:"max-bytes" env:"REELFLOW_MAX_BYTES" default:"287600000" group:"Limits" help:"Largest upload, in bytes."`
	MaxDuration time.Duration `name:"max-duration" env:"REELFLOW_MAX_DURATION" default:"10m" group:"Limits" help:"Longest video."`

	MaxOpenUploads int64 `name:"max-open-uploads" env:"REELFLOW_MAX_OPEN_UPLOADS" default:"50" group:"Limits" help:"How many uploads one person may have under way; 0 for any number."`
	QuotaBytes     int64 `name:"quota-bytes" env:"REELFLOW_QUOTA_BYTES" default:"0" group:"Limits" help:"How many bytes one person may have uploaded, or be uploading; 0 for any number."`
	RateCreates    int64 `name:"rate-creates" env:"REELFLOW_RATE_CREATES" default:"300" group:"Limits" help:"New videos a minute, each person at each gateway; 0 for any number."`
	RateCommands   int64 `name:"rate-commands" env:"REELFLOW_RATE_COMMANDS" default:"600" group:"Limits" help:"Commands a minute (pause, delete and the like), each person at each gateway; 0 for any number."`
	RateReads      int64 `name:"rate-reads" env:"REELFLOW_RATE_READS" default:"0" group:"Limits" help:"Reads of the API a minute by those who are not signed in, each address at each gateway; 0 for any number, which is right behind a proxy that is not trusted."`

	Auth                 string `name:"auth" env:"REELFLOW_AUTH" default:"dev" placeholder:"dev|URL" group:"People" help:"Who signs people in: dev (bearer dev:NAME, no proof asked; on this machine only), or the URL of an OIDC issuer."`
	DevAnywhere          bool   `name:"dev-anywhere" env:"REELFLOW_DEV_ANYWHERE" group:"People" help:"With dev: listen on any address and answer to pages of any site, for networks in which everybody may do everything."`
	OIDCAudience         string `name:"oidc-audience" env:"REELFLOW_OIDC_AUDIENCE" placeholder:"NAME" group:"People" help:"Audience that tokens must be made for; the client id where it is not set."`
	OIDCClientID         string `name:"oidc-client-id" env:"REELFLOW_OIDC_CLIENT_ID" placeholder:"ID" group:"People" help:"Client id of the pages at the issuer, which sends browsers back to /signin/callback. Without it only tokens are taken."`
	OIDCClientSecretFile string `name:"oidc-client-secret-file" env:"REELFLOW_OIDC_CLIENT_SECRET_FILE" placeholder:"FILE" group:"People" help:"File that holds the client secret; none for a public client."`
	OIDCScopes           string `name:"oidc-scopes" env:"REELFLOW_OIDC_SCOPES" default:"profile email" placeholder:"SCOPES" group:"People" help:"What the pages ask the issuer for beside openid."`
	OIDCNameClaim        string `name:"oidc-name-claim" env:"REELFLOW_OIDC_NAME_CLAIM" default:"sub" placeholder:"CLAIM" group:"People" help:"Claim that is a person's name here. Choose another than sub only where nobody can choose, change or inherit it."`
	OperatorClaim        string `name:"operator-claim" env:"REELFLOW_OPERATOR_CLAIM" placeholder:"CLAIM=VALUE" group:"People" help:"Claim that makes somebody an operator, as in roles=reelflow-operator or realm_access.roles=ops."`

	ImportAllow string `name:"import-allow" env:"REELFLOW_IMPORT_ALLOW" placeholder:"HOST,…" group:"Services" help:"Hosts, or HOST:PORT, that imports may fetch from though they are not public, on any port."`

	Role        string `name:"role" env:"REELFLOW_ROLE" default:"all" placeholder:"all|control|transfer|media" group:"Process" help:"Work that a worker takes: all, control, transfer or media."`
	Sandbox     string `name:"sandbox" env:"REELFLOW_SANDBOX" default:"prefer" placeholder:"require|prefer|off" group:"Process" help:"Whether ffmpeg runs in a sandbox: require (a worker that lacks a part of it takes no media work), prefer (with the parts that there are) or off."`
	StdinParent bool   `name:"stdin-parent" env:"REELFLOW_STDIN_PARENT" group:"Process" help:"Stop when standard input ends, for a parent that may die."`
	LogLevel    string `name:"log-level" env:"REELFLOW_LOG_LEVEL" default:"info" placeholder:"LEVEL" group:"Process" help:"Least level that is logged: debug, info, warn or error."`
	LogFormat   string `name:"log-format" env:"REELFLOW_LOG_FORMAT" default:"auto" placeholder:"FORMAT" group:"Process" help:"How logs are written: text, json, or auto (text on a terminal, else json)."`
}

// Policy is the part of the settings that travels with each video.
func (c *Config) Policy() video.Policy {
	return video.Policy{
		DeleteGrace:  c.DeleteGrace,
		OverdueAfter: c.OverdueAfter,
		CancelGrace:  c.CancelGrace,
		DraftTTL:     c.DraftTTL,
		RejectedTTL:  c.RejectedTTL,
		UploadStall:  c.UploadStall,
		UploadIdle:   c.UploadIdle,
		PublishDelay: c.PublishDelay,
	}
}

// complete fills in the defaults that follow from other settings.
func (c *Config) complete() {
	if c.DatabaseURL == "" {
		c.DatabaseURL = Address("sqlite://" + filepath.Join(c.DataDir, "catalog.db"))
	}
	if c.Vault == "" {
		c.Vault = Address(filepath.Join(c.DataDir, "vault"))
	}
}
