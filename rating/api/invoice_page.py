"""`/inv/{token}`: the public page of an invoice, self-contained."""

from collections.abc import Iterable
from html import escape

from ingest_gateway.http.envelope import Response
from ingest_gateway.http.pages import HTML_RESPONSE, html, public_page
from ingest_gateway.http.route import Description, PublicRoute
from rating.api.ports import PublicInvoices
from schemas.customer import Customer
from schemas.errors import NotFound
from schemas.invoice import Invoice, InvoiceLine, InvoiceStatus, PublicInvoice
from schemas.money import to_major
from schemas.quantity import to_text
from schemas.timestamps import to_iso

_STYLE = (
    "body{font:16px/1.5 system-ui,sans-serif;max-width:46rem;margin:3rem auto;padding:0 1rem;color:#1c1c1c}"
    "table{width:100%;border-collapse:collapse}td,th{padding:.4rem;border-bottom:1px solid #ddd;text-align:left}"
    ".n{text-align:right;font-variant-numeric:tabular-nums}.state{text-transform:uppercase;letter-spacing:.05em}"
    "tfoot tr:last-child{font-weight:bold}pre{font:inherit;white-space:pre-wrap}"
)


class PublicInvoicePage:
    """A page without key, script or outside resources."""

    def __init__(self, invoices: PublicInvoices) -> None:
        self._invoices = invoices

    def routes(self) -> list[PublicRoute]:
        description = Description(
            "View an invoice as its customer", operation_id="get_public_invoice", other_responses=HTML_RESPONSE
        )
        return [public_page("/inv/{token}", self.show, description)]

    async def show(self, path: dict[str, str]) -> Response:
        try:
            found = await self._invoices.by_token(path["token"])
        except NotFound:
            return html(_page("No such invoice", "<p>There is no invoice at this address.</p>"), _STYLE, 404)
        return html(_page(f"Invoice {found.invoice.number}", _body(found)), _STYLE)


def _page(title: str, body: str) -> str:
    return (
        f'<!doctype html><html lang="en"><head><meta charset="utf-8"><title>{escape(title)}</title>'
        '<meta name="viewport" content="width=device-width, initial-scale=1">'
        f"<style>{_STYLE}</style></head><body><h1>{escape(title)}</h1>{body}</body></html>"
    )


def _body(found: PublicInvoice) -> str:
    invoice = found.invoice
    lines = "".join(_line(line, invoice.currency) for line in invoice.lines)
    sums = "".join(_sum(name, amount, invoice.currency) for name, amount in _sums(invoice, found.balance_change))
    return (
        f'<p class="state">{escape(invoice.status.value)}</p>'
        f"<p>{'<br>'.join(escape(text) for text in _address_lines(found.customer))}</p>"
        f"<p>{'<br>'.join(escape(text) for text in _dates(invoice))}</p>"
        f"{_text(_balance_notice(invoice))}{_text(invoice.description)}{_text(invoice.customer_memo)}"
        '<table><thead><tr><th>Description</th><th class="n">Quantity</th><th class="n">Unit price</th>'
        f'<th class="n">Amount</th></tr></thead><tbody>{lines}</tbody><tfoot>{sums}</tfoot></table>'
        f"{_text(invoice.footer)}"
    )


def _balance_notice(invoice: Invoice) -> str | None:
    if invoice.total >= 0:
        return None
    owed = _money(-invoice.total, invoice.currency)
    return f"Nothing is to be paid. {owed} was put on the balance, which the next invoices are paid from."


def _address_lines(customer: Customer) -> list[str]:
    person = " ".join(part for part in (customer.first_name, customer.last_name) if part)
    address = customer.billing_address
    if address is None:
        return [text for text in (customer.name, person) if text]
    town = " ".join(part for part in (address.postal_code, address.city) if part)
    rows = (customer.name, person, address.line1, address.line2, town, address.state, address.country)
    return [text for text in rows if text]


def _dates(invoice: Invoice) -> Iterable[str]:
    ends = (("Due", invoice.due_at), ("Paid", invoice.paid_at)) if invoice.total >= 0 else ()
    for name, at in (("Issued", invoice.finalized_at), *ends):
        if at is not None:
            yield f"{name}: {_day(at)}"
    if invoice.period_start is not None and invoice.period_end is not None:
        yield f"Period: {_day(invoice.period_start)} to {_day(invoice.period_end)}"


def _day(at: int) -> str:
    return f"{to_iso(at)[:10]} (UTC)"


def _sums(invoice: Invoice, balance_change: int) -> Iterable[tuple[str, int]]:
    yield "Subtotal", invoice.subtotal
    if invoice.discount:
        yield "Discount", -invoice.discount
    for tax in invoice.taxes:
        yield f"{tax.name} {to_text(tax.percent)} % on {_money(tax.base, invoice.currency)}", tax.amount
    yield "Total", invoice.total
    used = max(0, -balance_change)
    if used:
        yield "Paid from the balance", -used
    if invoice.paid > used:
        yield "Paid", used - invoice.paid
    if balance_change > 0:
        yield "Put on the balance", balance_change
    if invoice.credited:
        yield "Credited", -invoice.credited
    if invoice.status in (InvoiceStatus.OPEN, InvoiceStatus.UNCOLLECTIBLE):
        yield "To be paid", invoice.due


def _line(line: InvoiceLine, currency: str) -> str:
    unit, amount = _money(line.unit_amount, currency), _money(line.amount, currency)
    numbers = "".join(f'<td class="n">{number}</td>' for number in (line.quantity, unit, amount))
    return f"<tr><td>{escape(line.description or '')}</td>{numbers}</tr>"


def _sum(name: str, amount: int, currency: str) -> str:
    return f'<tr><td colspan="3">{escape(name)}</td><td class="n">{_money(amount, currency)}</td></tr>'


def _money(minor: int, currency: str) -> str:
    return f"{to_major(minor, currency):,f} {currency}"


def _text(text: str | None) -> str:
    return f"<pre>{escape(text)}</pre>" if text else ""
