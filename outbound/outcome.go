package outbound

import (
	"context"
	"crypto/tls"
	"crypto/x509"
	"errors"
	"io"
	"net"
	"net/http"
	"net/url"
	"slices"
	"strconv"
	"strings"
	"syscall"
	"time"

	"github.com/caddy-webhooks/caddy-webhooks/outbound/egress"
)

// The classes of failed attempts.
const (
	ClassDNS          = "dns"           // the name was not resolved
	ClassConnect      = "connect"       // no connection
	ClassTLS          = "tls"           // no trust, or no TLS at all
	ClassTimeout      = "timeout"       // no answer in time
	ClassReset        = "reset"         // it was broken off before the answer
	ClassStatus       = "status"        // an answer that isn't 2xx
	ClassRedirect     = "redirect"      // a 3xx, which isn't followed
	ClassGone         = "gone"          // 410
	ClassEgressDenied = "egress_denied" // an address that deliveries may not go to
	ClassOAuth2       = "oauth2"        // no access token: the receiver was not asked
	ClassConfig       = "config"        // the delivery can't be signed or addressed
	ClassProtocol     = "protocol"      // an answer that isn't HTTP, or is over the limits
	ClassTransform    = "transform"     // the subscription's transform failed for the event: nothing was sent
	ClassDamaged      = "damaged"       // the store has no longer what was published: nothing was sent
)

// Classes are all of them.
var Classes = []string{
	ClassDNS, ClassConnect, ClassTLS, ClassTimeout, ClassReset, ClassStatus, ClassRedirect, ClassGone,
	ClassEgressDenied, ClassOAuth2, ClassConfig, ClassTransform, ClassProtocol, ClassDamaged,
}

// outcome is what an attempt came to.
type outcome struct {
	class      string // "" for success
	message    string // for whoever chose the URL
	detail     string // for the operator's log alone, which has more to say
	retryAfter time.Duration
	final      bool // trying again can't help
	eventFault bool // it is the event's fault, and says nothing of the receiver
	gone       bool // 410: the subscription is to be deactivated
	overloaded bool // the receiver asks to be slowed down
	aborted    bool // broken off by us: no attempt

	due time.Time // when the attempt was to be made, where it was ahead of that
}

func (o *outcome) early() bool { return !o.due.IsZero() }

func (o *outcome) ok() bool { return o.class == "" && !o.aborted }

// judge reads the answer's status line and headers; sent is for a date in
// Retry-After whose own clock isn't told.
func judge(resp *http.Response, sent time.Time) outcome {
	code := resp.StatusCode
	if code >= 200 && code < 300 {
		return outcome{}
	}
	o := outcome{class: ClassStatus, message: strings.TrimSpace("the receiver answered " + strconv.Itoa(code) + " " + http.StatusText(code))}
	o.retryAfter = retryAfter(resp.Header, sent)
	switch {
	case code >= 300 && code < 400 && code != http.StatusNotModified:
		o.class = ClassRedirect
		o.message = "redirects are not followed: update the subscription's URL" + redirectTarget(resp)
	case code == http.StatusGone:
		o.class, o.gone = ClassGone, true
		o.message = ReasonGone
	case code == http.StatusTooManyRequests, code == http.StatusBadGateway, code == http.StatusGatewayTimeout:
		o.overloaded = true
	}
	return o
}

// maxHost is how long a host can be, with a port.
const maxHost = 253 + len(":65535")

// redirectTarget names the host alone: the rest of a Location may hold a secret.
func redirectTarget(resp *http.Response) string {
	to, err := url.Parse(resp.Header.Get("Location"))
	if err != nil || to.Host == "" || len(to.Host) > maxHost || to.Scheme != "http" && to.Scheme != "https" {
		return ""
	}
	return " (it pointed to " + to.Scheme + "://" + to.Host + ")"
}

// maxRetryAfter bounds what a receiver may ask for.
const maxRetryAfter = 24 * time.Hour

// retryAfter reads seconds or a date, and 0 for anything else. A date counts
// from the answer's own, so that a clock that is off does no harm.
func retryAfter(h http.Header, sent time.Time) time.Duration {
	v := strings.TrimSpace(h.Get("Retry-After"))
	if v == "" {
		return 0
	}
	if n, err := strconv.ParseInt(v, 10, 64); err == nil || errors.Is(err, strconv.ErrRange) { // n is the nearest then
		return time.Duration(min(max(n, 0), int64(maxRetryAfter/time.Second))) * time.Second
	}
	at, err := http.ParseTime(v)
	if err != nil {
		return 0
	}
	from := sent
	if d, err := http.ParseTime(h.Get("Date")); err == nil {
		from = d
	}
	return min(max(at.Sub(from), 0), maxRetryAfter)
}

// failure says in words for people, which name no address, why there was no
// answer.
func failure(err error) outcome {
	var (
		denied   *egress.DeniedError
		connect  *egress.ConnectError
		dns      *net.DNSError
		cert     *tls.CertificateVerificationError
		name     x509.HostnameError
		record   tls.RecordHeaderError
		op       *net.OpError
		errno    syscall.Errno
		timeout  net.Error
		late     *stepTimeoutError
		network  = errors.As(err, &op)
		dialling = network && op.Op == "dial"
	)
	switch {
	case errors.As(err, &denied):
		return outcome{class: ClassEgressDenied, message: denied.Error(), detail: denied.Detail(), final: true}
	case errors.Is(err, context.Canceled):
		return outcome{aborted: true}
	case errors.As(err, &connect) && connect.Stage == egress.StageProxy:
		o := outcome{class: ClassConnect, message: "the egress proxy made no connection", detail: connect.Err.Error()}
		if connect.Timeout() {
			o.class, o.message = ClassTimeout, o.message+" in time"
		}
		return o
	case errors.As(err, &dns):
		if dns.IsNotFound {
			return outcome{class: ClassDNS, message: "the host name was not found"}
		}
		return outcome{class: ClassDNS, message: "the host name could not be resolved"}
	case errors.As(err, &name):
		return outcome{class: ClassTLS, message: "the certificate is for another host name"}
	case errors.As(err, &cert):
		return outcome{class: ClassTLS, message: "the certificate is not trusted: " + certificateProblem(cert.Err)}
	case errors.As(err, &record):
		return outcome{class: ClassTLS, message: "the receiver does not speak TLS on this port"}
	case network && op.Op == "remote error": // an alert, by TLS 1.3 perhaps after the handshake
		return outcome{class: ClassTLS, message: "the receiver refused the TLS connection (" + strings.TrimPrefix(op.Err.Error(), "tls: ") + ")" + clientCertHint(op.Err)}
	case errors.As(err, &late):
		return late.step.timeout()
	case errors.As(err, &timeout) && timeout.Timeout():
		return stepResponse.timeout()
	case dialling:
		words := "no connection"
		if errors.As(err, &errno) {
			words += ": " + errno.Error()
		}
		return outcome{class: ClassConnect, message: words}
	case network, errors.Is(err, io.EOF), errors.Is(err, io.ErrUnexpectedEOF), errors.Is(err, net.ErrClosed),
		mentions(err, "server closed idle connection", "client connection lost", "client conn could not be established"):
		return outcome{class: ClassReset, message: "the connection broke before an answer"}
	case unprocessed(err):
		return outcome{class: ClassReset, message: "the receiver closed the connection before it took the request"}
	case mentions(err, "received from peer", "GOAWAY"): // by HTTP/2
		return outcome{class: ClassReset, message: "the receiver broke the request off before an answer"}
	case mentions(err, "tls:"):
		return outcome{class: ClassTLS, message: "the TLS handshake failed"}
	case mentions(err, "headers exceeded", "header list larger"):
		return outcome{class: ClassProtocol, message: "the headers of the answer are over 64 KiB"}
	case mentions(err, "malformed HTTP", "transport connection broken", "http2:", "stream error:", "connection error:"):
		return outcome{class: ClassProtocol, message: "the answer is not valid HTTP, or its headers are too large"}
	}
	return outcome{class: ClassConfig, message: "the delivery can't be made: " + err.Error()}
}

// mentions tells errors of net/http apart that are but words.
func mentions(err error, words ...string) bool {
	text := err.Error()
	return slices.ContainsFunc(words, func(w string) bool { return strings.Contains(text, w) })
}

// clientCertHint says what to do about the alerts by which a receiver demands a
// client certificate, or refuses the one that it got.
func clientCertHint(alert error) string {
	if !mentions(alert, "certificate", "handshake failure", "access denied") {
		return ""
	}
	return ": if it demands a client certificate, set one in the server's configuration: egress { tls_client_auth … }"
}

func certificateProblem(err error) string {
	var invalid x509.CertificateInvalidError
	if errors.As(err, &invalid) {
		switch invalid.Reason {
		case x509.Expired:
			return "it has expired or is not valid yet"
		case x509.IncompatibleUsage:
			return "it is not for servers: have one issued with the extended key usage serverAuth"
		}
	}
	var unknown x509.UnknownAuthorityError
	if errors.As(err, &unknown) {
		return "its issuer is unknown: send the whole chain, or have the server's configuration trust its CA: egress { tls_trust_pool … }"
	}
	return "it did not verify"
}
