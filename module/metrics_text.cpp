#include "metrics.hpp"

#include <algorithm>

#include "../core/json.hpp"

// How the figures are written.

namespace ngx {

namespace {

constexpr std::string_view prefix = "nginx_jwt_";

/// Names of locations are bytes of a configuration, perhaps cut: the formats want UTF-8.
std::string clean(std::string_view text) {
    std::string result(text);
    if (!jwt::json::valid_utf8(result)) {
        std::replace_if(
            result.begin(), result.end(), [](char c) { return static_cast<unsigned char>(c) >= 0x80; }, '?');
    }
    return result;
}

void append_escaped(std::string& out, std::string_view text) {
    for (const char c : clean(text)) {
        if (c == '\n') {
            out += "\\n";
        } else {
            out += c == '\\' || c == '"' ? "\\" : "";
            out += c;
        }
    }
}

void append_html(std::string& out, std::string_view text) {
    for (const char c : clean(text)) {
        switch (c) {
            case '&':
                out += "&amp;";
                break;
            case '<':
                out += "&lt;";
                break;
            case '>':
                out += "&gt;";
                break;
            default:
                out += c;
        }
    }
}

void append_labels(std::string& out, const Family& family, const Sample& sample) {
    for (std::size_t i = 0; i < family.labels.size(); ++i) {
        out += i == 0 ? "{" : ",";
        out.append(family.labels[i]).append("=\"");
        append_escaped(out, sample.labels[i]);
        out += "\"";
    }
    out += family.labels.empty() ? "" : "}";
}

void append_sample_json(std::string& out, const Family& family, const Sample& sample) {
    out += "{";
    for (std::size_t i = 0; i < family.labels.size(); ++i) {
        jwt::json::append_string(out, family.labels[i]);
        out += ":";
        jwt::json::append_string(out, clean(sample.labels[i]));
        out += ",";
    }
    out += "\"value\":";
    jwt::json::append_number(out, sample.value);
    out += "}";
}

void append_cell(std::string& out, std::string_view tag, std::string_view text) {
    out.append("<").append(tag).append(">");
    append_html(out, text);
    out.append("</").append(tag).append(">");
}

std::string number_text(double value) {
    std::string text;
    jwt::json::append_number(text, value);
    return text;
}

/// Whether two samples are in one row of a table, whose columns are the values of the last label.
bool share_row(const Sample& a, const Sample& b) {
    return std::equal(a.labels.begin(), a.labels.end() - 1, b.labels.begin(), b.labels.end() - 1);
}

/// A family of two labels or more: samples of a row stand one behind the other, in the order of the columns.
void append_wide_table(std::string& out, const Family& family) {
    out += "<tr>";
    for (std::size_t i = 0; i + 1 < family.labels.size(); ++i) {
        append_cell(out, "th", family.labels[i]);
    }
    const auto end = std::find_if_not(family.samples.begin(), family.samples.end(),
                                      [&](const Sample& sample) { return share_row(family.samples[0], sample); });
    std::for_each(family.samples.begin(), end,
                  [&](const Sample& sample) { append_cell(out, "th", sample.labels.back()); });
    const Sample* row = nullptr;
    for (const Sample& sample : family.samples) {
        if (row == nullptr || !share_row(*row, sample)) {
            out += "</tr>\n<tr>";
            for (std::size_t i = 0; i + 1 < sample.labels.size(); ++i) {
                append_cell(out, "th", sample.labels[i]);
            }
            row = &sample;
        }
        append_cell(out, "td", number_text(sample.value));
    }
    out += "</tr>\n";
}

void append_table(std::string& out, const Family& family) {
    append_cell(out, "h2", family.name);
    append_cell(out, "p", family.help);
    out += "\n<table>";
    if (family.labels.size() > 1) {
        append_wide_table(out, family);
    } else {
        for (const Sample& sample : family.samples) {
            out += "<tr>";
            append_cell(out, "th", sample.labels.empty() ? family.name : std::string_view(sample.labels[0]));
            append_cell(out, "td", number_text(sample.value));
            out += "</tr>\n";
        }
    }
    out += "</table>\n";
}

constexpr std::string_view style =
    "body{font:15px/1.4 system-ui,sans-serif;margin:2em;color:#222;background:#fff}"
    "table{border-collapse:collapse}"
    "th,td{padding:.2em .7em;border:1px solid #ccc}"
    "th{text-align:left;background:#f4f4f4}"
    "td{text-align:right;font-variant-numeric:tabular-nums}"
    "h2{font-size:1em;margin:1.5em 0 0}"
    "p{margin:.2em 0 .5em;color:#666}";

}  // namespace

std::string prometheus_text(const std::vector<Family>& families) {
    std::string out;
    for (const Family& family : families) {
        const std::string name = std::string(prefix) + std::string(family.name);
        out.append("# HELP ").append(name).append(" ").append(family.help).append("\n");
        out.append("# TYPE ").append(name).append(family.type == Family::Type::counter ? " counter\n" : " gauge\n");
        for (const Sample& sample : family.samples) {
            out += name;
            append_labels(out, family, sample);
            out += " " + number_text(sample.value) + "\n";
        }
    }
    return out;
}

std::string json_text(const std::vector<Family>& families) {
    std::string out = "{";
    for (const Family& family : families) {
        out += out.size() == 1 ? "" : ",";
        jwt::json::append_string(out, family.name);
        out += ":";
        if (family.labels.empty()) {
            jwt::json::append_number(out, family.samples[0].value);
            continue;
        }
        for (const Sample& sample : family.samples) {
            out += &sample == family.samples.data() ? "[" : ",";
            append_sample_json(out, family, sample);
        }
        out += "]";
    }
    return out + "}\n";
}

std::string html_text(const std::vector<Family>& families) {
    std::string out = "<!DOCTYPE html>\n<html lang=\"en\"><head><meta charset=\"utf-8\"><title>JSON Web Tokens</title>";
    out.append("<style>").append(style).append("</style></head><body>\n<h1>JSON Web Tokens</h1>\n");
    for (const Family& family : families) {
        append_table(out, family);
    }
    return out + "</body></html>\n";
}

std::string_view html_policy() noexcept {
    // The hash is that of `style`.
    return "default-src 'none'; style-src 'sha256-pHSezMqC1m/W07FbQzi/jrj9AXujdaUdmF1NShxLIvc='; base-uri 'none'; "
           "form-action 'none'; "
           "frame-ancestors 'none'";
}

}  // namespace ngx
