#pragma once

#include "counters.hpp"

#include <string>
#include <string_view>
#include <utility>
#include <vector>

namespace ngx {

/// One series of a family.
struct Sample {
    std::vector<std::string> labels;  // values, in the order of the family's names
    double value;
};

/// Figures of one name, as Prometheus groups them.
struct Family {
    enum class Type : std::uint8_t { counter, gauge };

    std::string_view name;  // without the prefix that all of them share
    Type type;
    std::string_view help;  // one sentence
    std::vector<std::string_view> labels;
    std::vector<Sample> samples;
};

/// All that is known; families without a sample are left out.
[[nodiscard]] std::vector<Family> families(const Counts& counts);

/// The text format 0.0.4 of Prometheus.
[[nodiscard]] std::string prometheus_text(const std::vector<Family>& families);
/// An object: a family without labels is a number, one with labels an array of objects of them and `value`.
[[nodiscard]] std::string json_text(const std::vector<Family>& families);
/// A page for people, and the policy that lets a browser show it and do nothing else.
[[nodiscard]] std::string html_text(const std::vector<Family>& families);
[[nodiscard]] std::string_view html_policy() noexcept;

}  // namespace ngx
